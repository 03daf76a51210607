import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { drawRows } from '../../../ts/schedule/cursor.js';

const size = fc.integer({ min: 1, max: 60 });

describe('drawn rows', () => {
  test('have every row once an epoch, whatever the batch size', () => {
    fc.assert(
      fc.property(size, size, fc.maxSafeNat(), (n, batch, seed) => {
        const drawn: number[] = [];
        for (let start = 0; drawn.length < 3 * n; start += batch) {
          drawn.push(...drawRows(n, seed, start, batch).rows);
        }
        for (let epoch = 0; epoch < 3; epoch += 1) {
          expect(new Set(drawn.slice(epoch * n, (epoch + 1) * n)).size).toBe(n);
        }
      }),
    );
  });

  test('do not depend on how they are cut into batches, nor on what was drawn before', () => {
    fc.assert(
      fc.property(size, fc.nat(200), fc.nat(30), fc.maxSafeNat(), (n, start, count, seed) => {
        const whole = drawRows(n, seed, 0, start + count);
        const part = drawRows(n, seed, start, count);
        expect(part.rows).toEqual(whole.rows.slice(start));
        expect(part.sampleIds).toEqual(whole.sampleIds.slice(start));
      }),
    );
  });

  test('have ids that never repeat and tell row and epoch', () => {
    const { rows, sampleIds } = drawRows(7, 3, 0, 70);
    expect(new Set(sampleIds).size).toBe(70);
    expect(sampleIds.map((id) => id % 7)).toEqual(rows);
    expect(Math.max(...sampleIds)).toBe(69);
  });

  test('come in a fixed order at first, and shuffled as ever afterwards', () => {
    fc.assert(
      fc.property(
        size,
        fc.nat(4),
        fc.nat(200),
        fc.nat(30),
        fc.maxSafeNat(),
        (n, epochs, start, count, seed) => {
          const rows = Array.from({ length: n }, (_, row) => n - 1 - row);
          const drawn = drawRows(n, seed, start, count, { rows, epochs });
          const shuffled = drawRows(n, seed, start, count);
          const expected = shuffled.rows.map((row, index) => {
            const position = start + index;
            return position < epochs * n ? n - 1 - (position % n) : row;
          });
          expect(drawn.rows).toEqual(expected);
          expect(drawn.sampleIds.map((id) => id % n)).toEqual(expected);
        },
      ),
    );
  });

  test('keep a fixed order where it has no end', () => {
    const { rows } = drawRows(3, 1, 3, 9, { rows: [2, 0, 1], epochs: null });
    expect(rows).toEqual([2, 0, 1, 2, 0, 1, 2, 0, 1]);
  });

  test('are never taken from an order that is too short', () => {
    expect(() => drawRows(3, 1, 0, 3, { rows: [2, 0], epochs: null })).toThrow(RangeError);
  });

  test('change their order from epoch to epoch', () => {
    const { rows } = drawRows(50, 1, 0, 100);
    expect(rows.slice(0, 50)).not.toEqual(rows.slice(50));
  });
});
