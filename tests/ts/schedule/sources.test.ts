import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { SizedStagePlan } from '../../../ts/plan/types.js';
import { ammd } from '../plan/plans.js';
import { walk } from './walk.js';

const kindsOf = (plan: SizedStagePlan, part = 'on') =>
  walk(plan).map(({ plan: step }) => step.parts.find((one) => one.part === part)?.from);

describe('probability', () => {
  test.each([0, 0.1, 0.5, 0.9, 1])('%d of the steps are the student’s', (probability) => {
    const plan = ammd(50, `method.sources.on.probability=${probability}`, 'training.steps=4000');
    const share = kindsOf(plan).filter((kind) => kind === 'rollout').length / 4000;
    const error = Math.sqrt((probability * (1 - probability)) / 4000);
    expect(Math.abs(share - probability)).toBeLessThanOrEqual(4 * error);
  });

  test('may move: from the dataset to the student', () => {
    const plan = ammd(
      50,
      'method.sources.on.probability={kind: linear, from: 0, to: 1}',
      'training.steps=2000',
    );
    const early = kindsOf(plan)
      .slice(0, 200)
      .filter((kind) => kind === 'rollout').length;
    const late = kindsOf(plan)
      .slice(-200)
      .filter((kind) => kind === 'rollout').length;
    expect(early).toBeLessThan(30);
    expect(late).toBeGreaterThan(170);
  });

  test('decides each part by a number of its own, which a seed changes and other settings do not', () => {
    const both = 'method.sources={off: {from: student, probability: 0.5}, on: {probability: 0.5}}';
    const plan = ammd(50, both, 'training.steps=64');
    expect(kindsOf(plan, 'off')).not.toEqual(kindsOf(plan, 'on'));
    expect(kindsOf(ammd(50, both, 'training={steps: 64, batch_size: 12}'))).toEqual(kindsOf(plan));
  });

  test('a step of the dataset has its own responses to the same prompts', () => {
    const always = walk(ammd(50));
    const never = walk(ammd(50, 'method.sources.on.probability=0'));
    never.forEach(({ plan: step }, index) => {
      expect(step.rollouts).toEqual([]);
      const part = step.parts.find((one) => one.part === 'on');
      const asked = always[index]?.plan.rollouts[0];
      expect(part).toMatchObject({ from: 'dataset', dataset: 'train', rows: asked?.rows });
      expect(step.origins).toEqual({ fresh: 0, replayed: 0, dataset: 4, staleness: null });
    });
  });
});

test('a part of a step says where its rows come from, and none where its method never generates it', () => {
  const originsIn = (...changes: readonly string[]) =>
    walk(ammd(50, ...changes)).map(({ plan: { parts, origins } }) => [
      parts.map(({ origin }) => origin).join(),
      origins,
    ]);
  const fresh = { fresh: 4, replayed: 0, dataset: 0 };
  // Minibatches pick rows of what their own iteration drew, which is not to replay it.
  expect(originsIn('training.steps=2', 'method.iteration={minibatches: 2, epochs: 1}')).toEqual([
    [',fresh', { ...fresh, staleness: 0 }],
    [',fresh', { ...fresh, staleness: 1 }],
  ]);
  expect(originsIn('training.steps=2', 'method.sources.on={replay: {capacity: 4, fresh: 0}}')).toEqual([
    [',fresh', { ...fresh, staleness: 0 }],
    [',replayed', { fresh: 0, replayed: 4, dataset: 0, staleness: 1 }],
  ]);
  expect(originsIn('training.steps=1', 'method.sources.on.probability=0')).toEqual([
    [',dataset', { fresh: 0, replayed: 0, dataset: 4, staleness: null }],
  ]);
});

test('in an iteration one number a minibatch decides, and holds for all its epochs', () => {
  const shape = fc.record({
    minibatches: fc.integer({ min: 1, max: 4 }),
    epochs: fc.integer({ min: 1, max: 3 }),
    steps: fc.integer({ min: 1, max: 30 }),
    warmup: fc.nat(3),
  });
  fc.assert(
    fc.property(shape, ({ minibatches, epochs, steps, warmup }) => {
      fc.pre(minibatches * epochs > 1);
      const plan = ammd(
        50,
        `training.steps=${steps}`,
        `method={iteration: {minibatches: ${minibatches}, epochs: ${epochs}}, adversary: {warmup_steps: ${warmup}}}`,
        'method.sources.on.probability={kind: linear, from: 0.2, to: 0.9}',
      );
      const live = new Map<string, number>();
      const fallbacks = new Map<string, number>();
      for (const { plan: step, before } of walk(plan)) {
        for (const { handle } of step.rollouts) live.set(handle, before.studentStep);
        const on = step.parts.find(({ part }) => part === 'on');
        if (on?.from === 'rollout')
          expect(on.age).toBe(before.studentStep - (live.get(on.handle) ?? Number.NaN));
        else {
          const key = `${Math.floor(step.step / (minibatches * epochs))}/${on?.rows.join()}`;
          fallbacks.set(key, (fallbacks.get(key) ?? 0) + 1);
        }
        for (const handle of step.release) expect(live.delete(handle)).toBe(true);
      }
      expect(live.size).toBe(0);
      for (const uses of fallbacks.values()) expect(uses).toBeLessThanOrEqual(epochs);
      if (plan.steps % (minibatches * epochs) === 0)
        for (const uses of fallbacks.values()) expect(uses).toBe(epochs);
    }),
    { numRuns: 40 },
  );
});

describe('what is asked of the model that draws', () => {
  test('the student’s mixture with the teacher, which may move', () => {
    const plan = ammd(50, 'training.steps=4', 'method.sources.on.mixture={kind: linear, from: 0.4, to: 0}');
    const mixtures = walk(plan).map(({ plan: { rollouts } }) => rollouts[0]?.mixture);
    [0.4, 0.3, 0.2, 0.1].forEach((mixture, step) => {
      expect(mixtures[step]).toBeCloseTo(mixture, 12);
    });
  });

  test('temperature and length in place of the sampling’s, step by step', () => {
    const plan = ammd(
      50,
      'training.steps=4',
      'rollout={sampling: {top_p: 0.9}, temperature: {kind: linear, from: 1, to: 0.6}, max_new_tokens: {kind: linear, from: 4, to: 6}}',
    );
    const sampled = walk(plan).map(({ plan: { rollouts } }) => rollouts[0]?.sampling);
    expect(sampled.map((sampling) => sampling?.max_new_tokens)).toEqual([4, 5, 5, 6]);
    expect(sampled.map((sampling) => sampling?.temperature?.toFixed(1))).toEqual([
      '1.0',
      '0.9',
      '0.8',
      '0.7',
    ]);
    expect(sampled.every((sampling) => sampling?.top_p === 0.9)).toBe(true);
  });

  test('one response a prompt of a cached teacher, in every epoch', () => {
    const rolloutsOf = (source: string) =>
      walk(ammd(10, `method.sources.off=${source}`)).map(({ plan: { rollouts } }) => rollouts[0]);
    for (const rollout of rolloutsOf('{from: teacher}')) {
      expect(rollout).toMatchObject({ role: 'teacher', cache: true, mixture: 0 });
      expect(rollout?.sampleIds).toEqual(rollout?.rows);
    }
    const drawn = rolloutsOf('{from: teacher, cache: false}');
    expect(drawn.every((rollout) => rollout?.cache === false)).toBe(true);
    expect(drawn.some((rollout) => rollout?.sampleIds.join() !== rollout?.rows.join())).toBe(true);
  });
});

test('a method that generates nothing has no origins', () => {
  expect(walk(ammd(50, 'method=kd'))[0]?.plan.origins).toBeNull();
});
