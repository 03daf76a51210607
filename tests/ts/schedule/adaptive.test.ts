import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { AdaptiveSchedule } from '../../../ts/config/schema.js';
import { evaluationsWithin } from '../../../ts/config/stage_schedules.js';
import type { SizedStagePlan } from '../../../ts/plan/types.js';
import { movedTo, observe } from '../../../ts/schedule/adaptive.js';
import { read } from '../../../ts/schedule/read.js';
import { INITIAL_STATE } from '../../../ts/schedule/state.js';
import { ammd } from '../plan/plans.js';
import { walk } from './walk.js';

const NAME = 'sources.on.probability';
const EVALUATED = 'evaluation={every: 2, measure: [cross_entropy]}';

function adaptive(keys: Partial<AdaptiveSchedule>, ...changes: readonly string[]): SizedStagePlan {
  const base = { kind: 'adaptive', from: 0.2, to: 1, increment: 0.3, metric: 'cross_entropy' };
  const schedule = JSON.stringify({ ...base, ...keys });
  return ammd(40, `method.sources.on.probability=${schedule}`, EVALUATED, ...changes);
}

/** Where the schedule stands after the start and after each of these figures. */
function courseOf(plan: SizedStagePlan, figures: readonly number[]): readonly number[] {
  let state = INITIAL_STATE;
  return [
    read(plan, state, NAME),
    ...figures.map((figure) => {
      state = observe(plan, state, { cross_entropy: figure });
      return read(plan, state, NAME);
    }),
  ];
}

const rounded = (values: readonly number[]) => values.map((value) => Number(value.toFixed(9)));

describe('DistiLLM’s rule', () => {
  test('the figure before the first step sets the mark; later ones that are not below it move, and set it anew', () => {
    const course = courseOf(adaptive({}), [2, 1.9, 2, 1.5, 1.99, 2.5]);
    //             start  mark  better  equal  better  better than 2  worse
    expect(rounded(course)).toEqual([0.2, 0.2, 0.2, 0.5, 0.5, 0.5, 0.8]);
  });

  test('the tolerance is added to the mark', () => {
    expect(rounded(courseOf(adaptive({ tolerance: 0.5 }), [2, 2.4, 2.5, 2.9, 3]))).toEqual([
      0.2, 0.2, 0.2, 0.5, 0.5, 0.8,
    ]);
  });

  test('of a score, more is better, unless the schedule says otherwise', () => {
    const moves = (keys: Partial<AdaptiveSchedule>) => {
      const plan = adaptive({ metric: 'exact_match', ...keys });
      const marked = observe(plan, INITIAL_STATE, { exact_match: 5 });
      return [4, 6].map((figure) => observe(plan, marked, { exact_match: figure }).adaptive[NAME]?.moves);
    };
    expect(moves({})).toEqual([1, 0]);
    expect(moves({ mode: 'min' })).toEqual([0, 1]);
  });

  test('where more is better, a figure that is not above the mark moves', () => {
    expect(rounded(courseOf(adaptive({ mode: 'max', tolerance: 1 }), [5, 4.1, 4, 9, 3]))).toEqual([
      0.2, 0.2, 0.2, 0.5, 0.5, 0.8,
    ]);
  });

  test('it never goes past its end, downwards as well', () => {
    expect(rounded(courseOf(adaptive({}), [1, 1, 1, 1, 1, 1]))).toEqual([0.2, 0.2, 0.5, 0.8, 1, 1, 1]);
    const down = adaptive({}).schedules[NAME];
    if (down?.kind !== 'adaptive') throw new Error('not adaptive');
    const moves = [0, 1, 2, 3, 4].map((count) => movedTo({ ...down, from: 1, to: 0.2 }, count));
    expect(rounded(moves)).toEqual([1, 0.7, 0.4, 0.2, 0.2]);
  });

  test('figures that are missing or not finite move nothing', () => {
    const plan = adaptive({});
    const marked = observe(plan, INITIAL_STATE, { cross_entropy: 1 });
    for (const figures of [
      {},
      { exact_match: 9 },
      { cross_entropy: Number.NaN },
      { cross_entropy: Infinity },
    ]) {
      expect(observe(plan, marked, figures)).toEqual(marked);
    }
  });
});

test('whatever the figures, it goes one way, by whole increments, within its ends', () => {
  const shape = fc.record({
    from: fc.double({ min: 0, max: 1, noNaN: true }),
    to: fc.double({ min: 0, max: 1, noNaN: true }),
    increment: fc.double({ min: 0.01, max: 1, noNaN: true }),
    figures: fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { maxLength: 40 }),
    mode: fc.constantFrom('min' as const, 'max' as const),
  });
  fc.assert(
    fc.property(shape, ({ from, to, increment, figures, mode }) => {
      const plan = adaptive({ from, to, increment, mode });
      const course = courseOf(plan, figures);
      course.forEach((value, index) => {
        const change = value - (course[index - 1] ?? value);
        expect(change * Math.sign(to - from)).toBeGreaterThanOrEqual(0);
        expect(Math.abs(change)).toBeLessThanOrEqual(increment + 1e-9);
        expect(value).toBeGreaterThanOrEqual(Math.min(from, to));
        expect(value).toBeLessThanOrEqual(Math.max(from, to));
      });
    }),
    { numRuns: 30 },
  );
});

test('it moves as often as a configuration’s check counts evaluations', () => {
  const shape = fc.record({
    every: fc.integer({ min: 1, max: 7 }),
    warmup: fc.nat(6),
    steps: fc.integer({ min: 1, max: 15 }),
  });
  fc.assert(
    fc.property(shape, ({ every, warmup, steps }) => {
      const plan = adaptive(
        { from: 0, to: 1, increment: 0.001 },
        `training.steps=${steps}`,
        `method.adversary.warmup_steps=${warmup}`,
        `evaluation.every=${every}`,
      );
      const from = observe(plan, INITIAL_STATE, { cross_entropy: 1 });
      for (const { after } of walk(plan, () => ({ cross_entropy: 1 }), from)) {
        // The last step is evaluated in any case.
        const last = after.step === plan.steps && after.step % every !== 0 ? 1 : 0;
        expect(after.adaptive[NAME]?.moves).toBe(evaluationsWithin(every, warmup, after.step) + last);
      }
    }),
    { numRuns: 30 },
  );
});
