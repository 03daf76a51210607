import { describe, expect, test } from '@jest/globals';
import { mean, standardDeviation } from 'simple-statistics';
import { seeded } from '../../../ts/common/random.js';
import { type BleuStatistics, bleuOf, bleuScores, corpusBleu } from '../../../ts/metrics/corpus_bleu.js';
import { bleuCase, bleuCases } from '../../fixtures/bleu/bleu.js';

const sumOf = (rows: readonly BleuStatistics[]) =>
  (rows[0] ?? []).map((_, at) => rows.reduce((sum, row) => sum + (row[at] ?? Number.NaN), 0));

test.each(bleuCases)('$name: BLEU is sacrebleu’s', ({ statistics, bleu }) => {
  expect(corpusBleu(sumOf(statistics))).toBeCloseTo(bleu, 9);
  expect(bleuOf(statistics)).toBeCloseTo(bleu, 9);
});

test('BLEU is of exactly ten sums', () => {
  expect(() => corpusBleu([1, 2, 3])).toThrow('10 figures, not 3');
  expect(() => corpusBleu(Array.from({ length: 11 }, () => 1))).toThrow('not 11');
  expect(bleuOf([])).toBe(0);
});

describe('scores by row', () => {
  test.each(bleuCases)('$name: their mean is BLEU', ({ statistics, bleu }) => {
    const scores = bleuScores(statistics);
    expect(scores).toHaveLength(statistics.length);
    expect(mean([...scores])).toBeCloseTo(bleu, 9);
  });

  test('are zeros where BLEU is 0', () => {
    const { statistics } = bleuCase('responses shorter than four tokens');
    expect(bleuScores(statistics)).toEqual([0, 0]);
    expect(bleuScores([])).toEqual([]);
  });

  // What a row does to BLEU when it counts a little more, by central differences.
  test.each(bleuCases.filter(({ bleu, statistics }) => bleu > 0 && statistics.length > 1))(
    '$name: they are BLEU plus n times its derivative in each row’s weight',
    ({ statistics }) => {
      const sums = sumOf(statistics);
      const moved = (row: BleuStatistics, by: number) =>
        corpusBleu(sums.map((sum, at) => sum + by * (row[at] ?? Number.NaN)));
      const step = 1e-5;
      const slopes = statistics.map((row) => (moved(row, step) - moved(row, -step)) / (2 * step));
      const centre = mean(slopes);
      const expected = slopes.map((slope) => corpusBleu(sums) + statistics.length * (slope - centre));
      bleuScores(statistics).forEach((score, row) => {
        expect(score).toBeCloseTo(expected[row] ?? Number.NaN, 4);
      });
    },
  );

  test('spread as BLEU does when rows are drawn again, and the mean of sentence BLEUs does not', () => {
    const { statistics, bleu } = bleuCase('many rows, brevity penalty');
    const rows = statistics.length;
    const draw = seeded(7, 0);
    const resampled = Array.from({ length: 4000 }, () => {
      const drawn = Array.from({ length: rows }, () => Math.floor((draw() / 2 ** 32) * rows));
      return bleuOf(drawn.map((row) => statistics[row] ?? []));
    });
    const errorOf = (scores: readonly number[]) => standardDeviation([...scores]) / Math.sqrt(rows);
    const bootstrap = standardDeviation(resampled);
    const off = (scores: readonly number[]) => Math.abs(errorOf(scores) / bootstrap - 1);
    // The standard error of a standard deviation of 4000 draws is 1.1 %; four times that.
    expect(off(bleuScores(statistics))).toBeLessThan(0.045);
    const sentences = statistics.map(corpusBleu);
    expect(off(sentences)).toBeGreaterThan(0.09);
    expect(Math.abs(mean(sentences) - bleu)).toBeGreaterThan(2);
  });
});
