import { describe, expect, test } from '@jest/globals';
import { seedResults, tableCell } from '../../../ts/reproduce/cells.js';
import { makeEvaluation } from '../metrics/make_rows.js';
import { LONGER, makeResult, SEEN } from './make_results.js';

describe('results of a row in a column', () => {
  const results = [
    makeResult('kd', 102, [
      [0, 100],
      [100, 100],
    ]),
    makeResult('kd', 101, [
      [0, 0],
      [0, 100],
    ]),
    makeResult('ammd', 101, [[100, 100]]),
  ];

  test('by training seed; decoding seeds are averaged, in the mean and by test row', () => {
    expect(seedResults(results, 'kd', SEEN)).toEqual([
      { seed: 101, value: 25, scores: [0, 50] },
      { seed: 102, value: 75, scores: [50, 100] },
    ]);
  });

  test('only of the final student, this set, decoding and metric', () => {
    const others = [{ step: 5, final: false }, { dataset: 'longer' }, { metric: 'rouge_l' }].map((change) =>
      makeEvaluation({ mean: 99, scores: [99, 99], ...change }),
    );
    const greedy = makeEvaluation({ decoding: 'greedy', seed: null, mean: 10, scores: [0, 20] });
    const mixed = results.map((result) => ({
      ...result,
      evaluations: [...result.evaluations, ...others, greedy],
    }));
    expect(seedResults(mixed, 'kd', SEEN)).toEqual(seedResults(results, 'kd', SEEN));
    expect(seedResults(mixed, 'kd', { ...SEEN, decoding: 'greedy' }).map(({ value }) => value)).toEqual([
      10, 10,
    ]);
    expect(seedResults(results, 'kd', LONGER)).toEqual([]);
  });

  test('a training seed that is there twice is refused', () => {
    expect(() => seedResults([...results, makeResult('kd', 102, [[1]])], 'kd', SEEN)).toThrow(
      /kd has two results/,
    );
  });
});

describe('a cell', () => {
  const reference = { value: 50, sd: null, source: 'the paper' };

  test('mean and standard deviation over training seeds', () => {
    const results = [40, 44, 48].map((value, at) => ({ seed: at + 1, value, scores: undefined }));
    expect(tableCell(results, reference, null)).toEqual({
      seeds: [1, 2, 3],
      values: [40, 44, 48],
      mean: 44,
      sd: 4,
      reference,
      verdict: 'not_enough_seeds',
      reason: '3 of at least 5 training seeds',
      comparison: null,
    });
  });

  test('one seed has no spread; no seed is no cell', () => {
    expect(tableCell([{ seed: 7, value: 85, scores: undefined }], reference, 'other models')).toMatchObject({
      mean: 85,
      sd: null,
      verdict: 'not_comparable',
      reason: 'other models',
    });
    expect(tableCell([], reference, null)).toBeNull();
  });
});
