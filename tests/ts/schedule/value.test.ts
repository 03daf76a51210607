import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Schedule } from '../../../ts/config/schema.js';
import { startValue, valueAt } from '../../../ts/schedule/value.js';

const value = fc.double({ min: -10, max: 10, noNaN: true });
const warmup = fc.nat(20);
const over = fc.option(fc.integer({ min: 1, max: 200 }), { nil: null });
const slope = fc.record({ kind: fc.constantFrom('linear', 'cosine'), from: value, to: value, warmup, over });
const steps = fc.integer({ min: 1, max: 200 });

const values = (schedule: Schedule, count: number) =>
  Array.from({ length: count }, (_, step) => valueAt(schedule, step, count));

describe('linear and cosine', () => {
  test('stay between their ends, and go one way after the warm-up', () => {
    fc.assert(
      fc.property(slope, steps, (schedule, count) => {
        const shape = values(schedule as Schedule, count).slice(schedule.warmup);
        const [low, high] = [Math.min(schedule.from, schedule.to), Math.max(schedule.from, schedule.to)];
        const direction = Math.sign(schedule.to - schedule.from);
        shape.forEach((one, index) => {
          expect(one).toBeGreaterThanOrEqual(low - 1e-9);
          expect(one).toBeLessThanOrEqual(high + 1e-9);
          const change = one - (shape[index - 1] ?? one);
          expect(change * direction).toBeGreaterThanOrEqual(-1e-9);
        });
      }),
    );
  });

  test('begin at from, end one step short of to, and hold to after `over` steps', () => {
    const linear: Schedule = { kind: 'linear', from: 1, to: 0, warmup: 0, over: null };
    expect(values(linear, 4)).toEqual([1, 0.75, 0.5, 0.25]);
    expect(values({ ...linear, over: 2 }, 4)).toEqual([1, 0.5, 0, 0]);
    const cosine: Schedule = { kind: 'cosine', from: 2, to: 1, warmup: 0, over: null };
    const half = [2, 1 + (2 + Math.SQRT2) / 4, 1.5, 1 + (2 - Math.SQRT2) / 4];
    values(cosine, 4).forEach((one, index) => {
      expect(one).toBeCloseTo(half[index] ?? Number.NaN, 12);
    });
  });
});

test('warm-up rises in equal steps from above 0 to the start, which comes right after it', () => {
  const cosine: Schedule = { kind: 'cosine', from: 1, to: 0, warmup: 3, over: null };
  expect(values(cosine, 8).slice(0, 4)).toEqual([0.25, 0.5, 0.75, 1]);
  expect(values({ kind: 'constant', value: 2, warmup: 1 }, 3)).toEqual([1, 2, 2]);
});

test('warm-up longer than the stage stays finite and below the start', () => {
  const long = values({ kind: 'cosine', from: 1, to: 0, warmup: 10, over: null }, 4);
  expect(long.every((one, index) => one > (long[index - 1] ?? 0) && one < 1)).toBe(true);
});

test('steps multiply the value every so often', () => {
  expect(values({ kind: 'step', from: 8, factor: 0.5, every: 2, warmup: 0 }, 6)).toEqual([8, 8, 4, 4, 2, 2]);
});

test('the start value leaves warm-up out', () => {
  expect(startValue({ kind: 'constant', value: 3, warmup: 9 })).toBe(3);
  expect(startValue({ kind: 'linear', from: 4, to: 0, warmup: 9, over: null })).toBe(4);
});

describe('a sequence', () => {
  const piece = (from: number, to: number, length: number) => ({
    steps: length,
    shape: { kind: 'linear' as const, from, to, warmup: 0, over: null },
  });

  test('is one piece after the other, each on its own clock, and the last goes on', () => {
    const pieces = [
      { steps: 2, shape: { kind: 'constant' as const, value: 7, warmup: 0 } },
      piece(4, 0, 4),
      { steps: 1, shape: { kind: 'step' as const, from: 8, factor: 0.5, every: 1, warmup: 0 } },
    ];
    expect(values({ kind: 'sequence', pieces, warmup: 0 }, 9)).toEqual([7, 7, 4, 3, 2, 1, 8, 4, 2]);
  });

  test('warms up to where its first piece starts', () => {
    const sequence: Schedule = { kind: 'sequence', pieces: [piece(4, 0, 2), piece(0, 6, 3)], warmup: 1 };
    expect(values(sequence, 8)).toEqual([2, 4, 2, 0, 2, 4, 6, 6]);
    expect(startValue(sequence)).toBe(4);
  });

  test('whose pieces begin where the ones before end has no jumps, and stays between its corners', () => {
    const corners = fc.array(fc.record({ at: value, length: fc.integer({ min: 1, max: 30 }) }), {
      minLength: 2,
      maxLength: 6,
    });
    fc.assert(
      fc.property(corners, (points) => {
        const pieces = points
          .slice(1)
          .map(({ at, length }, index) => piece(points[index]?.at ?? 0, at, length));
        const all = values({ kind: 'sequence', pieces, warmup: 0 }, 200);
        const slopes = pieces.map(({ shape, steps }) => Math.abs(shape.to - shape.from) / steps);
        const heights = points.map(({ at }) => at);
        all.forEach((one, index) => {
          expect(Math.abs(one - (all[index - 1] ?? one))).toBeLessThanOrEqual(Math.max(...slopes) + 1e-9);
          expect(one).toBeLessThanOrEqual(Math.max(...heights) + 1e-9);
          expect(one).toBeGreaterThanOrEqual(Math.min(...heights) - 1e-9);
        });
        expect(all.at(-1)).toBeCloseTo(heights.at(-1) ?? Number.NaN, 9);
      }),
    );
  });
});

test('an adaptive schedule stands where it has moved to, and warms up to there', () => {
  const adaptive: Schedule = {
    ...{ kind: 'adaptive', from: 0.2, to: 1, increment: 0.1, metric: 'm', mode: 'min', tolerance: 0 },
    warmup: 1,
  };
  expect([0, 1, 2].map((step) => valueAt(adaptive, step, 3))).toEqual([0.1, 0.2, 0.2]);
  expect([0, 1, 2].map((step) => valueAt(adaptive, step, 3, 0.6))).toEqual([0.3, 0.6, 0.6]);
});
