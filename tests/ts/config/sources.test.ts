import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { partRows } from '../../../ts/config/sources.js';

const sources = (shares: readonly number[]) =>
  Object.fromEntries(shares.map((share, index) => [`p${index}`, { share }]));

test.each([
  [[0.5, 0.5], 8, [4, 4]],
  [[0.5, 0.5], 7, [4, 3]],
  [[0.1, 0.2, 0.7], 10, [1, 2, 7]],
  [[1 / 3, 1 / 3, 1 / 3], 8, [3, 3, 2]],
  [[0.9, 0.1], 1, [1, 0]],
  // None would be left for a part whose share means half a row or less: it has one of the largest part's.
  [[0.875, 0.125], 4, [3, 1]],
  [[0.9, 0.05, 0.05], 4, [2, 1, 1]],
  [[0.9, 0.05, 0.05], 2, [1, 1, 0]],
  // 96/328 · 205 is 59.99999999999999: 60 rows with nothing left over.
  [[18, 64, 79, 96, 71].map((weight) => weight / 328), 205, [11, 40, 50, 60, 44]],
])('shares %j of %d rows are %j', (shares, batch, rows) => {
  expect([...partRows(sources(shares), batch).values()]).toEqual(rows);
});

test('rows sum to the batch, none is missing, and but for that they are within one of the exact share', () => {
  const weights = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(weights, fc.integer({ min: 1, max: 500 }), (parts, batch) => {
      const total = parts.reduce((sum, part) => sum + part, 0);
      const shares = parts.map((part) => part / total);
      const rows = [...partRows(sources(shares), batch).values()];
      expect(rows.reduce((sum, count) => sum + count, 0)).toBe(batch);
      if (batch >= rows.length) expect(Math.min(...rows)).toBeGreaterThan(0);
      const given = rows.filter((_, index) => (shares[index] ?? 0) * batch < 1).length;
      rows.forEach((count, index) => {
        const exact = (shares[index] ?? 0) * batch;
        expect(count).toBeLessThan(exact + 1);
        expect(count).toBeGreaterThan(exact - 1 - given);
      });
    }),
  );
});
