import { describe, expect, test } from '@jest/globals';
import { withRows } from '../../../ts/plan/stage.js';
import { ammd, stageOf } from './plans.js';

const epochs = (count: number) => `training={steps: null, epochs: ${count}}`;

describe('the length of a stage', () => {
  test('steps are steps of the student; critic warm-up comes on top', () => {
    const plan = ammd(100, 'method.adversary.warmup_steps=3');
    expect([plan.studentSteps, plan.steps]).toEqual([20, 23]);
  });

  test.each([
    [100, 1, 13],
    [96, 1, 12],
    [100, 2.5, 32],
    [3, 1, 1],
    [8, 0.1, 1],
  ])('%d rows %d times make %d steps of 8 rows', (rows, count, steps) => {
    expect(ammd(rows, epochs(count)).studentSteps).toBe(steps);
  });

  test('generated rows that are used again count once', () => {
    // Per step: 4 dataset rows and 4 / 4 prompts, so 100 rows last 20 steps.
    const plan = ammd(100, epochs(1), 'method.iteration={minibatches: 2, epochs: 4}');
    expect(plan.studentSteps).toBe(20);
  });

  test('rows of other datasets do not count', () => {
    expect(ammd(100, epochs(1), 'method.sources.off.data=check').studentSteps).toBe(25);
  });
});

test('a dataset without rows is refused by name', () => {
  expect(() => withRows(stageOf('student'), { check: 5 })).toThrow(
    'dataset train of stage student has no rows',
  );
  expect(() => withRows(stageOf('student'), { train: 0 })).toThrow(RangeError);
});

test('a sized plan cannot be changed', () => {
  expect(() => Object.assign(ammd(10), { steps: 1 })).toThrow(TypeError);
});

test('the temperature of sampling is not that of a loss', () => {
  const anchored = 'method.terms.anchor={objective: forward_kl, part: off, params: {temperature: 2}}';
  const { terms, sampling } = ammd(10, anchored, 'rollout.sampling.temperature=0.5');
  expect(sampling.temperature).toBe(0.5);
  expect(terms.map(({ params }) => params.temperature ?? 1).toSorted()).toEqual([1, 1, 2]);
});
