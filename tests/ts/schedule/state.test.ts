import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { withRows } from '../../../ts/plan/stage.js';
import { inCriticWarmup, isDone } from '../../../ts/schedule/clock.js';
import { advance, INITIAL_STATE, restoreState, StateError } from '../../../ts/schedule/state.js';
import type { StageState } from '../../../ts/schedule/types.js';
import { ammd, stageOf } from '../plan/plans.js';

function reach(plan: Parameters<typeof advance>[0], steps: number): StageState {
  let state = INITIAL_STATE;
  for (let i = 0; i < steps; i += 1) state = advance(plan, state);
  return state;
}

describe('turns', () => {
  test('are K a step, and the student waits exactly for the critic warm-up', () => {
    const shape = fc.record({ turns: fc.integer({ min: 1, max: 5 }), warmup: fc.nat(6), done: fc.nat(26) });
    fc.assert(
      fc.property(shape, ({ turns, warmup, done }) => {
        const plan = ammd(50, `method.adversary={turns: ${turns}, warmup_steps: ${warmup}}`);
        const count = Math.min(done, plan.steps);
        const state = reach(plan, count);
        expect(state).toEqual({
          ...INITIAL_STATE,
          step: count,
          studentStep: Math.max(0, count - warmup),
          criticTurns: turns * count,
        });
        expect(inCriticWarmup(plan, state)).toBe(count < warmup);
        expect(isDone(plan, state)).toBe(count === warmup + 20);
      }),
      { numRuns: 50 },
    );
  });

  test('move with their schedule, on the clock of the student', () => {
    const turns = '{kind: linear, from: 1, to: 5}';
    const plan = ammd(50, 'training.steps=4', `method.adversary={turns: ${turns}, warmup_steps: 2}`);
    const counts = Array.from({ length: 7 }, (_, steps) => reach(plan, steps).criticTurns);
    expect(counts).toEqual([0, 1, 2, 3, 5, 8, 12]);
  });

  test('are none for critics that never learn', () => {
    const plan = ammd(50, 'method.critics={on: {trained: false}, off: {trained: false}}');
    expect(reach(plan, 5).criticTurns).toBe(0);
    expect(reach(ammd(50, 'method.critics.on.trained=false'), 5).criticTurns).toBe(5);
  });

  test('are none without critics', () => {
    const plan = withRows(stageOf('teacher'), { train: 50 });
    expect(reach(plan, 5)).toMatchObject({ studentStep: 5, criticTurns: 0 });
  });

  test('end with the stage', () => {
    const plan = ammd(50, 'training.steps=2');
    expect(() => advance(plan, reach(plan, 2))).toThrow('stage student has only 2 steps');
  });
});

describe('saved state', () => {
  const plan = ammd(50, 'method.adversary={turns: 2, warmup_steps: 3}');

  test('comes back from JSON as it was, at every step', () => {
    for (let steps = 0; steps <= plan.steps; steps += 1) {
      const state = reach(plan, steps);
      expect(restoreState(plan, JSON.parse(JSON.stringify(state)))).toEqual(state);
    }
  });

  test.each([
    ['damaged', { step: 3 }],
    ['damaged', null],
    ['damaged', { ...INITIAL_STATE, version: 1 }],
    ['damaged', { ...INITIAL_STATE, step: -1 }],
    ['damaged', { ...INITIAL_STATE, more: 1 }],
    ['of another plan', { ...INITIAL_STATE, step: 24, studentStep: 21, criticTurns: 48 }],
    ['of another plan', { ...INITIAL_STATE, step: 4, studentStep: 4, criticTurns: 8 }],
  ])('that is %s is refused: %j', (_, saved) => {
    expect(() => restoreState(plan, saved)).toThrow(StateError);
    expect(() => restoreState(plan, saved)).toThrow(_);
  });
});

describe('saved state of a buffer and of adaptive schedules', () => {
  const φ = '{kind: adaptive, from: 0, to: 1, increment: 0.5, metric: exact_match}';
  const plan = ammd(
    50,
    `method.sources.on={probability: ${φ}, max_staleness: 6, replay: {capacity: 16, fresh: 0.5}}`,
    'method.adversary.warmup_steps=3',
    'evaluation.every=5',
  );
  const saved = { ...INITIAL_STATE, step: 10, studentStep: 7, criticTurns: 10 };
  const NAME = 'sources.on.probability';

  test.each([
    [{ on: [4, 9] }, { [NAME]: { moves: 2, mark: -1.5 } }],
    [{ on: [] }, {}],
    [{}, { [NAME]: { moves: 0, mark: 3 } }],
  ])('comes back too: %j %j', (replay, adaptive) => {
    const state = { ...saved, replay, adaptive };
    expect(restoreState(plan, JSON.parse(JSON.stringify(state)))).toEqual(state);
  });
});
