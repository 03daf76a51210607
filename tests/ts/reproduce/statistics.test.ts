import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { RowResult } from '../../../ts/reproduce/cells.js';
import { type StatisticsInputs, tableStatistics } from '../../../ts/reproduce/statistics.js';
import { LONGER, makeResult, makeRow, SEEN } from './make_results.js';

const ROWS = ['teacher', 'sft', 'kd', 'ammd'];

const INPUTS: StatisticsInputs = {
  columns: [SEEN, LONGER],
  rows: ROWS.map((id) => ({ id, label: id.toUpperCase() })),
  results: [
    makeResult('teacher', 7, [[90, 90, 90, 90]]),
    ...makeRow('sft', 30),
    ...makeRow('kd', 33),
    ...makeRow('ammd', 40),
  ],
  primary: { row: 'ammd', column: 0, baselines: ['sft', 'kd'] },
  tuning: new Map([
    ['sft', 35],
    ['kd', 34],
  ]),
  reference: (row, { dataset }) =>
    row === 'kd' && dataset === 'seen' ? { value: 33, sd: null, source: 'the paper' } : null,
  incomparable: null,
};

describe('statistics of a table', () => {
  const { cells, primary, warnings } = tableStatistics(INPUTS);

  test('a cell for each row and column, null where nothing was evaluated', () => {
    expect([...cells.keys()]).toEqual(ROWS);
    expect([...cells.values()].map((row) => row.map((cell) => cell?.mean ?? null))).toEqual([
      [90, null],
      [expect.closeTo(29.8), null],
      [expect.closeTo(32.8), null],
      [expect.closeTo(39.8), null],
    ]);
    expect(warnings).toEqual([]);
  });

  test('verdicts by reference', () => {
    expect(cells.get('kd')?.[0]).toMatchObject({ verdict: 'reproduced', reference: { source: 'the paper' } });
    expect(cells.get('sft')?.[0]).toMatchObject({ verdict: 'not_comparable', reference: null });
    const other = tableStatistics({ ...INPUTS, incomparable: 'other models' });
    expect(other.cells.get('kd')?.[0]).toMatchObject({ verdict: 'not_comparable', reason: 'other models' });
  });

  test('the opponent is the best of the tuning set, though another is better on the test set', () => {
    expect(primary).toMatchObject({ row: 'ammd', against: 'sft', column: 0, difference: expect.closeTo(10) });
    expect(primary?.conclusion).toMatch(/^AMMD is better than SFT/);
    expect(cells.get('sft')?.[0]?.comparison).toMatchObject({ against: 'ammd', p_holm: null });
    expect(cells.get('kd')?.[0]?.comparison).toMatchObject({
      difference: expect.closeTo(-7),
      p_holm: expect.any(Number),
    });
    expect(cells.get('ammd')?.[0]?.comparison).toBeNull();
    expect(cells.get('teacher')?.[0]?.comparison).toBeNull();
  });

  test('test scores can never change who is compared', () => {
    const score = fc.integer({ min: 0, max: 100 });
    const scores = fc.array(fc.array(score, { minLength: 4, maxLength: 4 }), {
      minLength: 15,
      maxLength: 15,
    });
    fc.assert(
      fc.property(scores, (values) => {
        const results: RowResult[] = ['sft', 'kd', 'ammd'].flatMap((row, at) =>
          [0, 1, 2, 3, 4].map((seed) => makeResult(row, 101 + seed, [values[5 * at + seed] ?? []])),
        );
        expect(tableStatistics({ ...INPUTS, results }).primary?.against).toBe('sft');
      }),
      { numRuns: 15 },
    );
  });

  test('a table without a primary comparison compares nothing', () => {
    const none = tableStatistics({ ...INPUTS, primary: null });
    expect(none.primary).toBeNull();
    expect([...none.cells.values()].flat().some((cell) => cell?.comparison != null)).toBe(false);
  });

  test.each<[string, Partial<StatisticsInputs>, RegExp]>([
    ['no figure on the tuning set', { tuning: new Map() }, /no baseline has a figure/],
    [
      'an opponent that was not trained',
      { results: INPUTS.results.filter(({ row }) => row !== 'sft') },
      /with sft could not be made/,
    ],
  ])('the primary comparison is missing, and why: %s', (_, change, message) => {
    const found = tableStatistics({ ...INPUTS, ...change });
    expect(found.primary).toBeNull();
    expect(found.warnings).toEqual([expect.stringMatching(message)]);
    expect(found.cells.get('kd')?.[0]?.comparison?.p_holm).toEqual(expect.any(Number));
  });
});
