import { describe, expect, test } from '@jest/globals';
import type { RunEvent } from '../../../ts/metrics/events.js';
import { scalarsOf } from '../../../ts/metrics/tensorboard.js';
import { Tracking } from '../../../ts/metrics/tracking.js';
import { makeEvaluation, makeStep } from './make_rows.js';

const finished = (stage: string): RunEvent => ({ kind: 'stage_finished', stage, seconds: 1 });

describe('what a tracking service is told', () => {
  test('every row, with the names of TensorBoard', () => {
    const tracking = new Tracking();
    for (const row of [makeStep({ step: 3 }), makeEvaluation({ step: 5 })])
      expect(tracking.messagesOf(row)).toEqual([
        {
          kind: 'figures',
          stage: row.stage,
          step: row.step,
          values: Object.fromEntries(scalarsOf(row)),
        },
      ]);
  });

  test('at the end of a stage the means over its seeds, of the final evaluation alone', () => {
    const tracking = new Tracking();
    const rows = [
      makeEvaluation({ final: false, mean: 99 }),
      ...[10, 20].map((mean, index) =>
        makeEvaluation({ dataset: 'seen', decoding: 'sampled', seed: index, final: true, mean }),
      ),
      makeEvaluation({ dataset: 'seen', decoding: 'greedy', seed: null, final: true, mean: 30 }),
    ];
    for (const row of rows) tracking.messagesOf(row);
    const { stage, metric } = makeEvaluation({});
    expect(tracking.messagesOf(finished(stage))).toEqual([
      {
        kind: 'summary',
        values: {
          [`${stage}/seen/${metric}/sampled`]: 15,
          [`${stage}/seen/${metric}/sampled/sd`]: Math.sqrt(50),
          [`${stage}/seen/${metric}/greedy`]: 30,
        },
      },
    ]);
    expect(tracking.messagesOf(finished('next'))).toEqual([]);
  });

  test('nothing of what is said for people', () => {
    const tracking = new Tracking();
    expect(tracking.messagesOf({ kind: 'note', message: 'n' })).toEqual([]);
  });
});
