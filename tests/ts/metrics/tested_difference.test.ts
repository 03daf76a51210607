import { describe, expect, test } from '@jest/globals';
import { seeded } from '../../../ts/common/random.js';
import { hierarchicalBootstrap, type SeedScores } from '../../../ts/metrics/hierarchical_bootstrap.js';
import { testedDifference } from '../../../ts/metrics/tested_difference.js';
import { normal } from './normal.js';

const against = (scores: SeedScores, value: number): SeedScores =>
  scores.map((rows) => rows.map(() => value));

describe('the p value', () => {
  test('is that of the paired t-test where the bootstrap’s is smaller', () => {
    // R: t.test(c(1, 2, 3, 4, 5)) has p = 0.01324.
    const scores = [
      [10, 12],
      [11, 13],
      [13, 13],
      [14, 14],
      [16, 14],
    ] as const;
    const found = testedDifference(scores, against(scores, 10));
    expect(found.p).toBeCloseTo(0.0132356, 7);
    expect(found).toEqual({ ...hierarchicalBootstrap(scores, against(scores, 10)), p: found.p });
    expect(testedDifference(against(scores, 10), scores).p).toBe(found.p);
  });

  test('is the bootstrap’s where rows differ and seeds do not', () => {
    const rows = [9, -7, 8, -6, 9, -5];
    const scores = [rows, rows.map((row) => row + 0.1), rows.map((row) => row - 0.1)];
    const found = testedDifference(scores, against(scores, 0));
    expect(found.p).toBeGreaterThan(0.3);
    expect(found).toEqual(hierarchicalBootstrap(scores, against(scores, 0)));
  });

  test.each([
    ['a difference without any spread', 4, 0.02],
    ['no difference at all', 0, 1],
  ])('of %s is the bootstrap’s', (_, difference, p) => {
    const scores = [
      [1, 50],
      [8, 7],
    ];
    const more = scores.map((rows) => rows.map((score) => score + difference));
    expect(testedDifference(more, scores, { resamples: 99 }).p).toBe(p);
  });
});

test('noise of five seeds is not taken for one of 149 differences, as by the bootstrap alone', () => {
  const trials = 60;
  const level = 0.05 / 149;
  let [alone, both] = [0, 0];
  for (let trial = 0; trial < trials; trial += 1) {
    const draw = seeded(2026, trial);
    const scores = Array.from({ length: 5 }, () => [normal(draw)]);
    const options = { seed: trial, resamples: 6000 };
    if (hierarchicalBootstrap(scores, against(scores, 0), options).p < level) alone += 1;
    if (testedDifference(scores, against(scores, 0), options).p < level) both += 1;
  }
  expect(alone / trials).toBeGreaterThan(20 * level);
  expect(both).toBe(0);
});
