import { expect, test } from '@jest/globals';
import { evaluationOf } from '../../../ts/cli/eval.js';
import { resolveRun } from '../config/workspace.js';

const OWN = 'stages.student.evaluation';

/** The student's stage of the demo run, with an evaluation that no default is like. */
function target() {
  const { config } = resolveRun(
    `${OWN}={metrics: [rouge_l], seeds: [3, 4], greedy: false, rows: 5}`,
    `${OWN}.sampling={temperature: 0.7, top_p: 0.9, max_new_tokens: 77, no_repeat_ngram_size: 6}`,
  );
  const stage = config.stages.student;
  if (stage === undefined) throw new Error('the demo run has a stage student');
  return { run: { config, stage } };
}

test('what no option says is as in the run, over all rows', () => {
  const run = target();
  const { metrics, seeds, greedy, sampling } = run.run.stage.evaluation;
  expect(evaluationOf(run, {})).toMatchObject({ metrics, seeds, greedy, sampling, rows: null });
  expect(sampling).toMatchObject({ temperature: 0.7, no_repeat_ngram_size: 6 });
});

test('options change what they name alone', () => {
  const run = target();
  const { sampling } = run.run.stage.evaluation;
  const changed = evaluationOf(run, { seeds: [9], greedy: true, rows: 2, 'max-new-tokens': 5 });
  expect(changed).toMatchObject({ metrics: ['rouge_l'], seeds: [9], greedy: true, rows: 2 });
  expect(changed.sampling).toEqual({ ...sampling, max_new_tokens: 5 });
  expect(evaluationOf({ run: null }, { 'no-greedy': true }).greedy).toBe(false);
});

test('a model of no run is evaluated as in the tables', () => {
  expect(evaluationOf({ run: null }, {})).toMatchObject({
    metrics: ['rouge_l'],
    seeds: [10, 20, 30, 40, 50],
    greedy: true,
    sampling: { temperature: 1, top_p: 1, top_k: 0, max_new_tokens: 256, no_repeat_ngram_size: 0 },
  });
});
