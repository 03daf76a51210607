import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  best,
  groupBy,
  rowScores,
  StepTotals,
  summarise,
  throughput,
} from '../../../ts/metrics/aggregate.js';
import type { StepRow } from '../../../ts/metrics/rows.js';
import { makeEvaluation, makeStep } from './make_rows.js';

describe('summarise', () => {
  test('mean and sample standard deviation over decoding seeds', () => {
    const rows = [2, 4, 9].map((mean, index) => makeEvaluation({ mean, seed: index, ended: index / 2 }));
    const [summary, ...others] = summarise(rows);
    expect(others).toEqual([]);
    // By hand: mean 5, squared deviations 9 + 1 + 16, divided by 2.
    expect(summary).toMatchObject({ mean: 5, seeds: 3, rows: 2, ended: 0.5, mean_length: 3.5 });
    expect(summary?.sd).toBeCloseTo(Math.sqrt(13), 12);
  });

  test('no deviation from one seed; greedy is apart from sampled', () => {
    const summaries = summarise([
      makeEvaluation({ mean: 3 }),
      makeEvaluation({ mean: 4, decoding: 'greedy', seed: null, ended: null, mean_length: null }),
    ]);
    expect(summaries.map(({ decoding, mean, sd }) => [decoding, mean, sd])).toEqual([
      ['sampled', 3, null],
      ['greedy', 4, null],
    ]);
    expect(summaries[1]).toMatchObject({ ended: null, mean_length: null });
  });

  test.each([{ stage: 'kd' }, { step: 11 }, { final: false }, { dataset: 'longer' }, { metric: 'rouge_l' }])(
    'rows that differ in %j are never averaged',
    (change) => {
      const means = summarise([
        makeEvaluation({ mean: 1 }),
        makeEvaluation({ mean: 2, seed: 20, ...change }),
      ]);
      expect(means.map((summary) => summary.mean)).toEqual([1, 2]);
    },
  );

  test('an evaluation repeated for the same seed counts once, by its last row', () => {
    const rows = [
      makeEvaluation({ mean: 1 }),
      makeEvaluation({ mean: 3, seed: 20 }),
      makeEvaluation({ mean: 5 }),
    ];
    expect(summarise(rows)).toMatchObject([{ mean: 4, seeds: 2 }]);
  });

  test('the deviation does not see a shift, the mean moves with it', () => {
    const means = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(means, fc.integer({ min: -50, max: 50 }), (values, shift) => {
        const of = (add: number) =>
          summarise(values.map((value, seed) => makeEvaluation({ mean: value + add, seed })))[0];
        expect(of(shift)?.mean).toBeCloseTo((of(0)?.mean ?? Number.NaN) + shift, 9);
        expect(of(shift)?.sd).toBeCloseTo(of(0)?.sd ?? Number.NaN, 9);
      }),
    );
  });
});

describe('best', () => {
  const summaries = summarise([
    makeEvaluation({ step: 30, mean: 7 }),
    makeEvaluation({ step: 10, mean: 5 }),
    makeEvaluation({ step: 20, mean: 7 }),
    makeEvaluation({ step: 40, mean: 1, metric: 'perplexity' }),
  ]);

  test('largest or smallest of one metric; the earlier step wins a tie', () => {
    expect(best(summaries, 'exact_match')).toMatchObject({ step: 20, mean: 7 });
    expect(best(summaries, 'exact_match', 'min')).toMatchObject({ step: 10, mean: 5 });
  });

  test('undefined where the metric was not measured', () => {
    expect(best(summaries, 'rouge_l')).toBeUndefined();
  });
});

describe('row scores', () => {
  test('mean over seeds, row by row', () => {
    const rows = [makeEvaluation({ scores: [0, 100] }), makeEvaluation({ scores: [50, 0], seed: 20 })];
    expect(rowScores(rows)).toEqual([25, 50]);
  });

  test('none without scores, or when seeds saw different rows', () => {
    expect(rowScores([makeEvaluation()])).toBeUndefined();
    const uneven = [makeEvaluation({ scores: [1] }), makeEvaluation({ scores: [1, 2], seed: 20 })];
    expect(rowScores(uneven)).toBeUndefined();
  });
});

describe('time', () => {
  const steps = [
    makeStep({ seconds: { generate: 1, student: 2, total: 4 } }),
    makeStep({
      seconds: { generate: 2, student: 1, wire: 1, total: 4 },
      tokens: { batch: 60, response: 1, generated: 24 },
    }),
  ];

  test('throughput is a ratio of sums, not a mean of ratios', () => {
    expect(throughput(steps)).toEqual({
      steps: 2,
      seconds: 8,
      tokens: 80,
      response_tokens: 13,
      drawn_tokens: 30,
      tokens_per_second: 80 / 8,
      generated_per_second: 30 / 3,
    });
    expect(throughput([])).toEqual({
      steps: 0,
      seconds: 0,
      tokens: 0,
      response_tokens: 0,
      drawn_tokens: 0,
      tokens_per_second: null,
      generated_per_second: null,
    });
  });

  test('kept responses took no time to draw', () => {
    const kept = { ...makeStep({ seconds: { generate: 2, total: 4 } }), drawn_tokens: 4 };
    expect(throughput([...steps, kept]).generated_per_second).toBe(34 / 5);
  });

  const secondsByPhase = (...rows: readonly StepRow[]) => {
    const totals = new StepTotals();
    for (const row of rows) totals.add(row);
    return totals.secondsByPhase;
  };

  test('phases add up to the total', () => {
    const phases = secondsByPhase(...steps);
    expect(phases).toMatchObject({ generate: 3, student: 3, wire: 1, idle: 0, other: 1, total: 8 });
  });

  test('overlapping phases leave nothing for other', () => {
    expect(secondsByPhase(makeStep({ seconds: { student: 3, wire: 2, total: 4 } })).other).toBe(0);
  });
});

test('groups keep the order of first occurrence', () => {
  expect([...groupBy([3, 1, 4, 1, 5], (value) => (value % 2 === 0 ? 'even' : 'odd'))]).toEqual([
    ['odd', [3, 1, 1, 5]],
    ['even', [4]],
  ]);
});
