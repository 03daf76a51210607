import { describe, expect, test } from '@jest/globals';
import { curvesOf, read } from '../../../ts/schedule/read.js';
import { INITIAL_STATE } from '../../../ts/schedule/state.js';
import { ammd } from '../plan/plans.js';

const PLAN = ammd(
  40,
  'training={steps: 4, lr: {kind: linear, from: 1, to: 0}}',
  'method.adversary={warmup_steps: 3, turns: {kind: linear, from: 1, to: 5, warmup: 1}}',
  'rollout.max_new_tokens={kind: linear, from: 1, to: 8, warmup: 2}',
  'method.sources.on.probability={kind: adaptive, from: 0.3, to: 1, increment: 0.1, metric: exact_match}',
  'evaluation.every=1',
);

const CURVES = curvesOf(PLAN, [0, 1, 2, 3]);

describe('curves', () => {
  test('have a value for each step asked for, warm-up of the critics left out', () => {
    expect(CURVES['training.lr']).toEqual([1, 0.75, 0.5, 0.25]);
  });

  test('of counts are whole and at least 1', () => {
    // K: half of 1, then 1 to 5 over 3 steps: 1, 2.33, 3.67.
    expect(CURVES['adversary.turns']).toEqual([1, 1, 2, 4]);
    expect(CURVES['rollout.max_new_tokens']).toEqual([1, 1, 1, 5]);
  });

  test('of adaptive schedules stay where they start', () => {
    expect(CURVES['sources.on.probability']).toEqual([0.3, 0.3, 0.3, 0.3]);
  });

  test('say of each step what is read at it', () => {
    for (const [name, values] of Object.entries(CURVES)) {
      values.forEach((value, studentStep) => {
        expect(read(PLAN, { ...INITIAL_STATE, studentStep }, name)).toBe(value);
      });
    }
  });
});

test('a name that no schedule has is an error', () => {
  expect(() => read(PLAN, INITIAL_STATE, 'training.lrr')).toThrow(
    'stage student has no schedule training.lrr',
  );
});
