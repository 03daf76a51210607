import { describe, expect, test } from '@jest/globals';
import { holm } from '../../../ts/metrics/holm.js';
import { testedDifference } from '../../../ts/metrics/tested_difference.js';
import { seedResults } from '../../../ts/reproduce/cells.js';
import { compareRows, comparisonKey, correctedComparisons } from '../../../ts/reproduce/comparisons.js';
import { LONGER, makeResult, makeRow, SEEN } from './make_results.js';

const ROWS = ['teacher', 'sft', 'kd', 'ammd'];
const RESULTS = [
  makeResult('teacher', 7, [[90, 90, 90, 90]]),
  ...makeRow('sft', 30),
  ...makeRow('kd', 33),
  ...makeRow('ammd', 34),
];

describe('rows against one row', () => {
  test('each is a paired test over seeds and rows', () => {
    const { compared, warnings } = compareRows(RESULTS, ROWS, 'ammd', [SEEN]);
    expect(warnings).toEqual([]);
    expect(compared.map(({ row, column }) => [row, column])).toEqual([
      ['sft', 0],
      ['kd', 0],
    ]);
    const scores = (row: string) => seedResults(RESULTS, row, SEEN).map((result) => result.scores ?? []);
    expect(compared[1]?.tested).toEqual(testedDifference(scores('kd'), scores('ammd')));
    expect(compared[1]?.tested).toMatchObject({ difference: -1, seeds: 5, rows: 4 });
  });

  test('over the training seeds that both have, which is told', () => {
    const fewer = RESULTS.filter(({ row, seed }) => row !== 'kd' || seed > 102);
    const { compared, warnings } = compareRows(fewer, ROWS, 'ammd', [SEEN]);
    expect(compared.map(({ row, tested }) => [row, tested.seeds])).toEqual([
      ['sft', 5],
      ['kd', 3],
    ]);
    const scores = (row: string) =>
      seedResults(fewer, row, SEEN)
        .filter(({ seed }) => seed > 102)
        .map((result) => result.scores ?? []);
    expect(compared[1]?.tested).toEqual(testedDifference(scores('kd'), scores('ammd')));
    expect(warnings).toEqual(['kd and ammd are compared on the 3 training seeds that both have']);
  });

  test('not where there are no scores of the same rows, which is told', () => {
    const other = RESULTS.map((result) =>
      result.row === 'kd' && result.seed === 103 ? makeResult('kd', 103, [[1, 2]]) : result,
    );
    const { compared, warnings } = compareRows(other, ROWS, 'ammd', [SEEN, LONGER]);
    expect(compared.map(({ row }) => row)).toEqual(['sft']);
    expect(warnings).toEqual(['kd and ammd are not compared on seen: they have no scores of the same rows']);
  });

  test('resamples grow with the number of tests: a corrected p value can still be small', () => {
    const columns = Array.from({ length: 150 }, (_, at) => ({ ...SEEN, title: `${at}` }));
    const two = [101, 102].flatMap((seed) => [
      makeResult('kd', seed, [[0]]),
      makeResult('ammd', seed, [[9]]),
    ]);
    const { compared } = compareRows(two, ['kd', 'ammd'], 'ammd', columns);
    const corrected = correctedComparisons(compared, 'ammd', () => false);
    expect(corrected.size).toBe(150);
    for (const { p_holm } of corrected.values()) expect(p_holm).toBeLessThan(0.05);
  });
});

describe('correction', () => {
  test('of all comparisons but the primary one', () => {
    const results = [...RESULTS, ...ROWS.slice(1).flatMap((row, at) => makeRow(row, 10 + at, 'longer'))];
    const merged = ROWS.flatMap((row) => {
      const seeds = new Set(results.filter((result) => result.row === row).map(({ seed }) => seed));
      return [...seeds].map((seed) => ({
        row,
        seed,
        evaluations: results
          .filter((result) => result.row === row && result.seed === seed)
          .flatMap(({ evaluations }) => evaluations),
      }));
    });
    const { compared } = compareRows(merged, ROWS, 'ammd', [SEEN, LONGER]);
    const isPrimary = ({ row, column }: { row: string; column: number }) => row === 'kd' && column === 0;
    const corrected = correctedComparisons(compared, 'ammd', isPrimary);
    const secondary = compared.filter((one) => !isPrimary(one));
    expect(secondary.map(({ row, column }) => [row, column])).toEqual([
      ['sft', 0],
      ['sft', 1],
      ['kd', 1],
    ]);
    expect(secondary.map(({ row, column }) => corrected.get(comparisonKey(row, column))?.p_holm)).toEqual(
      holm(secondary.map(({ tested }) => tested.p)),
    );
    const { tested } = compared.find(isPrimary) ?? {};
    expect(corrected.get(comparisonKey('kd', 0))).toEqual({
      against: 'ammd',
      difference: tested?.difference,
      low: tested?.low,
      high: tested?.high,
      p: tested?.p,
      p_holm: null,
    });
  });
});
