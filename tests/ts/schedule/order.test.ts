import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { withOrders } from '../../../ts/plan/stage.js';
import { isDone } from '../../../ts/schedule/clock.js';
import { orderBy } from '../../../ts/schedule/order.js';
import { advance, INITIAL_STATE } from '../../../ts/schedule/state.js';
import { planStep } from '../../../ts/schedule/step.js';
import { ammd } from '../plan/plans.js';

describe('an order by difficulty', () => {
  test('goes up or down, ties by row number', () => {
    const difficulty = [2, -1, 2, 0.5, -1];
    expect(orderBy(difficulty, false)).toEqual([1, 4, 3, 0, 2]);
    expect(orderBy(difficulty, true)).toEqual([0, 2, 3, 1, 4]);
  });

  test('has every row once, none easier than the one before', () => {
    const figures = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 60 });
    fc.assert(
      fc.property(figures, (difficulty) => {
        const order = orderBy(difficulty, false);
        expect(new Set(order).size).toBe(difficulty.length);
        const sorted = order.map((row) => difficulty[row] ?? 0);
        expect(sorted.every((value, index) => index === 0 || value >= (sorted[index - 1] ?? value))).toBe(
          true,
        );
      }),
    );
  });
});

/** Row numbers that the steps of AMMD take from its dataset, both parts, step by step. */
function rowsOf(...changes: readonly string[]): readonly (readonly number[])[] {
  const plan = withOrders(ammd(16, 'training.steps=4', ...changes), {
    train: Array.from({ length: 16 }, (_, row) => 15 - row),
  });
  const steps: (readonly number[])[] = [];
  for (let state = INITIAL_STATE; !isDone(plan, state); state = advance(plan, state)) {
    const { parts, rollouts } = planStep(plan, state);
    const data = parts.flatMap((part) => (part.from === 'dataset' ? part.rows : []));
    steps.push([...data, ...rollouts.flatMap(({ rows }) => rows)]);
  }
  return steps;
}

const descending = (from: number) => Array.from({ length: 8 }, (_, index) => from - index);

describe('a stage with an order', () => {
  test('draws its rows in it for the first epoch, and shuffles the next', () => {
    const [first, second, ...later] = rowsOf('training.order=gap');
    expect([first, second]).toEqual([descending(15), descending(7)]);
    expect(later).not.toContainEqual(descending(15));
    expect(new Set(later.flat()).size).toBe(16);
  });

  test('or for all', () => {
    const [, , third, fourth] = rowsOf('training.order={by: gap, epochs: null}');
    expect([third, fourth]).toEqual([descending(15), descending(7)]);
  });
});
