import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compareModels, pairedDifference } from '../../../ts/metrics/paired.js';
import { makeEvaluation } from './make_rows.js';

const scores = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 30 });

describe('paired difference', () => {
  test('the interval holds the difference, and is the same for the same seed', () => {
    fc.assert(
      fc.property(scores, fc.integer(), (left, seed) => {
        const right = left.map((score, index) => score + ((index * 7) % 5) - 2);
        const options = { seed, resamples: 200 };
        const interval = pairedDifference(left, right, options);
        expect(pairedDifference(left, right, options)).toEqual(interval);
        expect(interval.low).toBeLessThanOrEqual(interval.high);
        expect(interval.rows).toBe(left.length);
      }),
      { numRuns: 50 },
    );
  });

  test('a constant difference has no width: pairing removes what rows have in common', () => {
    fc.assert(
      fc.property(scores, (right) => {
        const left = right.map((score) => score + 4);
        expect(pairedDifference(left, right, { resamples: 50 })).toMatchObject({
          difference: 4,
          low: 4,
          high: 4,
        });
      }),
      { numRuns: 30 },
    );
  });

  test('agrees with the normal approximation on many rows', () => {
    // Differences ±1 in equal number: standard error 1/√n, so the 95 % interval is ±1.96/√n.
    const rows = 600;
    const left = Array.from({ length: rows }, (_, index) => (index % 2 === 0 ? 1 : -1));
    const interval = pairedDifference(left, new Array<number>(rows).fill(0), { seed: 3 });
    const expected = 1.96 / Math.sqrt(rows);
    expect(interval.difference).toBe(0);
    expect(interval.high / expected).toBeGreaterThan(0.93);
    expect(interval.high / expected).toBeLessThan(1.07);
    expect(interval.low / -expected).toBeGreaterThan(0.93);
    expect(interval.low / -expected).toBeLessThan(1.07);
  });

  test('a narrower confidence gives a narrower interval', () => {
    const left = Array.from({ length: 100 }, (_, index) => index % 10);
    const right = new Array<number>(100).fill(3);
    const wide = pairedDifference(left, right, { confidence: 0.95 });
    const narrow = pairedDifference(left, right, { confidence: 0.5 });
    expect(narrow.high - narrow.low).toBeLessThan(wide.high - wide.low);
  });

  test('scores of other rows are refused', () => {
    expect(() => pairedDifference([1, 2], [1])).toThrow(/2 and 1 rows/);
    expect(() => pairedDifference([], [])).toThrow(RangeError);
  });
});

describe('comparison of models', () => {
  const rows = [
    makeEvaluation({ stage: 'sft', scores: [0, 0, 100] }),
    makeEvaluation({ stage: 'ammd', scores: [100, 0, 100] }),
    makeEvaluation({ stage: 'ammd', scores: [100, 100, 100], seed: 20 }),
    makeEvaluation({ stage: 'sft', scores: [1, 2, 3], decoding: 'greedy', seed: null }),
    makeEvaluation({ stage: 'ammd', scores: [2, 4, 6], decoding: 'greedy', seed: null }),
  ];

  test('seeds are averaged within a row; decodings stay apart', () => {
    const comparisons = compareModels(rows, 'ammd');
    expect(comparisons).toMatchObject([
      { model: 'ammd', against: 'sft', decoding: 'sampled', difference: 50, rows: 3 },
      { model: 'ammd', against: 'sft', decoding: 'greedy', difference: 2, rows: 3 },
    ]);
  });

  test('a stage is compared with what it started from', () => {
    const before = makeEvaluation({ scores: [0, 0, 0], step: 0, final: false });
    expect(compareModels([before, ...rows.slice(1, 3)], 'ammd')).toMatchObject([
      { model: 'ammd', against: 'ammd, step 0' },
    ]);
  });

  test('nothing to say about a model without scores, or of other rows', () => {
    expect(compareModels(rows, 'kd')).toEqual([]);
    const other = [
      makeEvaluation({ scores: [1, 2] }),
      makeEvaluation({ stage: 'a', scores: [1] }),
      makeEvaluation({ stage: 'b' }),
    ];
    expect(compareModels(other, 'ammd')).toEqual([]);
  });
});
