import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { SizedStagePlan } from '../../../ts/plan/types.js';
import { studentStepAt } from '../../../ts/schedule/clock.js';
import { minibatchAt, partDraw, placeOf } from '../../../ts/schedule/iteration.js';
import { partsAt, releasedAt, rolloutsAt } from '../../../ts/schedule/rollouts.js';
import { INITIAL_STATE } from '../../../ts/schedule/state.js';
import type { RolloutPlan, StageState } from '../../../ts/schedule/types.js';
import { ammd } from '../plan/plans.js';

/** The state of a plan without replay and adaptive schedules follows from the step. */
const at = (plan: SizedStagePlan, step: number): StageState => ({
  ...INITIAL_STATE,
  step,
  studentStep: studentStepAt(plan, step),
});

/** The part that the student draws. */
function drawnPart(plan: SizedStagePlan) {
  const part = plan.parts.find((one) => one.part === 'on');
  if (part === undefined) throw new Error('no such part');
  return part;
}

const steps = (plan: SizedStagePlan) => Array.from({ length: plan.steps }, (_, step) => step);

test.each([
  ['rows', 'there is no number of rows of dataset train in a plan'],
  ['orderSeeds', 'there is no seed for the order of dataset train in a plan'],
])('a plan whose %s lack a dataset of its parts draws nothing', (key, message) => {
  const plan = { ...ammd(30), [key]: {} };
  expect(() => partDraw(plan, drawnPart(plan), 0, 0)).toThrow(new RangeError(message));
});

describe('one batch an iteration', () => {
  test('the rows of dataset and student come from one sequence: each once an epoch', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 2, max: 12 }), (rows, batch) => {
        const plan = ammd(rows, `training.batch_size=${batch}`, 'training.steps=30');
        const used = steps(plan).flatMap((step) => [
          ...partsAt(plan, at(plan, step)).flatMap((part) => (part.from === 'dataset' ? part.rows : [])),
          ...rolloutsAt(plan, at(plan, step)).flatMap((rollout) => rollout.rows),
        ]);
        expect(used).toHaveLength(30 * batch);
        const times = Array.from({ length: rows }, (_, row) => used.filter((one) => one === row).length);
        expect(Math.max(...times)).toBe(Math.ceil(used.length / rows));
        expect(Math.min(...times)).toBe(Math.floor(used.length / rows));
      }),
      { numRuns: 20 },
    );
  });

  test('a rollout lives for its step and enters the batch by its handle', () => {
    const plan = ammd(30);
    expect(rolloutsAt(plan, at(plan, 4)).map(({ handle, role, dataset }) => [handle, role, dataset])).toEqual(
      [['step:4/rollout.on', 'student', 'train']],
    );
    expect(partsAt(plan, at(plan, 4))[1]).toEqual({
      from: 'rollout',
      part: 'on',
      origin: 'fresh',
      handle: 'step:4/rollout.on',
      picks: null,
      size: 4,
      age: 0,
    });
    expect(releasedAt(plan, at(plan, 4))).toEqual([]);
  });

  test('the teacher may generate too, with a seed of its own', () => {
    const plan = ammd(30, 'method.sources.off.from=teacher');
    const [off, on] = rolloutsAt(plan, at(plan, 0));
    expect([off?.role, on?.role]).toEqual(['teacher', 'student']);
    expect(off?.seed).not.toBe(on?.seed);
    expect(off?.rows).not.toEqual(on?.rows);
  });
});

describe('several minibatches and epochs an iteration', () => {
  const shape = fc.record({
    minibatches: fc.integer({ min: 1, max: 4 }),
    epochs: fc.integer({ min: 1, max: 4 }),
    length: fc.integer({ min: 1, max: 40 }),
  });

  test('one rollout is drawn at the start, its every row used once an epoch, and released at the end', () => {
    fc.assert(
      fc.property(shape, ({ minibatches, epochs, length }) => {
        fc.pre(minibatches * epochs > 1);
        const plan = ammd(
          50,
          `training.steps=${length}`,
          `method.iteration={minibatches: ${minibatches}, epochs: ${epochs}}`,
        );
        const live = new Map<string, number[]>();
        for (const step of steps(plan)) {
          const { within, length: whole } = placeOf(step, plan.iteration);
          const drawn = rolloutsAt(plan, at(plan, step));
          expect(drawn.map(({ rows }) => rows.length)).toEqual(within === 0 ? [4 * minibatches] : []);
          for (const { handle, rows } of drawn) {
            expect(live.has(handle)).toBe(false);
            live.set(handle, Array(rows.length).fill(0));
          }
          for (const part of partsAt(plan, at(plan, step))) {
            if (part.from !== 'rollout') continue;
            const uses = live.get(part.handle) ?? [];
            for (const row of part.picks ?? uses.keys()) uses[row] = (uses[row] ?? Number.NaN) + 1;
          }
          for (const handle of releasedAt(plan, at(plan, step))) {
            const uses = live.get(handle) ?? [];
            if (within === whole - 1) expect(uses).toEqual(Array(4 * minibatches).fill(epochs));
            expect(live.delete(handle)).toBe(true);
          }
        }
        expect([...live]).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  test('prompts are used once an epoch of the data, together with the dataset rows', () => {
    const plan = ammd(24, 'training.steps=12', 'method.iteration={minibatches: 3, epochs: 2}');
    const prompts = steps(plan).flatMap((step) =>
      rolloutsAt(plan, at(plan, step)).flatMap((rollout) => rollout.rows),
    );
    const rows = steps(plan).flatMap((step) =>
      partsAt(plan, at(plan, step)).flatMap((part) => (part.from === 'dataset' ? part.rows : [])),
    );
    // Two iterations of 3 × 4 prompts and 6 × 4 dataset rows: 72 draws, three times every one of 24 rows.
    const thrice = Array.from({ length: 72 }, (_, draw) => Math.floor(draw / 3));
    expect([...prompts, ...rows].toSorted((a, b) => a - b)).toEqual(thrice);
  });

  test('later epochs take the minibatches in another order', () => {
    const plan = ammd(400, 'training.steps=20', 'method.iteration={minibatches: 10, epochs: 2}');
    const taken = steps(plan).flatMap((step) =>
      partsAt(plan, at(plan, step)).flatMap((part) =>
        part.from === 'rollout' ? [part.picks?.[0] ?? -1] : [],
      ),
    );
    const [first, second] = [taken.slice(0, 10), taken.slice(10)];
    expect(first).toEqual([0, 4, 8, 12, 16, 20, 24, 28, 32, 36]);
    expect(second).not.toEqual(first);
    expect(second.toSorted((a, b) => a - b)).toEqual(first);
  });

  test('a minibatch takes its own rows, also where some are the dataset’s', () => {
    const plan = ammd(
      400,
      'training.steps=48',
      'method.iteration={minibatches: 4, epochs: 3}',
      'method.sources.on.probability=0.6',
    );
    const rowsDrawn = new Map<string, readonly number[]>();
    const kinds = new Set<string>();
    for (const step of steps(plan)) {
      const state = at(plan, step);
      for (const { handle, sampleIds } of rolloutsAt(plan, state)) rowsDrawn.set(handle, sampleIds);
      const part = partsAt(plan, state).find((one) => one.part === 'on');
      if (part === undefined) throw new Error('no such part');
      kinds.add(part.from);
      const place = placeOf(step, plan.iteration);
      const draw = partDraw(
        plan,
        drawnPart(plan),
        place.iteration,
        minibatchAt(drawnPart(plan), place, plan.iteration),
      );
      if (part.from === 'dataset') expect(part.rows).toEqual(draw.rows);
      else {
        const all = rowsDrawn.get(part.handle) ?? [];
        expect((part.picks ?? [...all.keys()]).map((row) => all[row])).toEqual(draw.sampleIds);
      }
    }
    expect([...kinds].sort()).toEqual(['dataset', 'rollout']);
  });
});

describe('drawn one step ahead', () => {
  interface Settings {
    readonly probability: number;
    readonly warmup: number;
    readonly length: number;
    readonly batch: number;
  }

  const settings: fc.Arbitrary<Settings> = fc.record({
    probability: fc.constantFrom(0.3, 0.8, 1),
    warmup: fc.nat(3),
    length: fc.integer({ min: 1, max: 25 }),
    batch: fc.integer({ min: 2, max: 9 }),
  });

  /** Everything that may change from step to step does. */
  const planOf = ({ probability, warmup, length, batch }: Settings, staleness: number) =>
    ammd(
      30,
      `training={steps: ${length}, batch_size: ${batch}}`,
      `method.adversary.warmup_steps=${warmup}`,
      `method.sources.on={max_staleness: ${staleness}, mixture: {kind: linear, from: 0, to: 0.5}}`,
      `method.sources.on.probability={kind: linear, from: ${probability}, to: 0.9}`,
      'rollout.temperature={kind: linear, from: 1, to: 0.5}',
      'rollout.max_new_tokens={kind: linear, from: 4, to: 16}',
    );

  const bare = ({ handle: _handle, ahead: _ahead, ...rest }: RolloutPlan) => rest;

  test('a step learns from the same responses to the same prompts as without, but for the weights', () => {
    fc.assert(
      fc.property(settings, (chosen) => {
        const fresh = planOf(chosen, 0);
        const plan = planOf(chosen, 1);
        const held = new Map<string, RolloutPlan>();
        for (const step of steps(plan)) {
          for (const rollout of rolloutsAt(plan, at(plan, step))) held.set(rollout.handle, rollout);
          const expected = rolloutsAt(fresh, at(fresh, step)).map(bare);
          const used = partsAt(plan, at(plan, step)).flatMap((part) =>
            part.from === 'rollout' ? [part.handle] : [],
          );
          expect(used.map((handle) => held.get(handle)).map((one) => one && bare(one))).toEqual(expected);
          const dataset = (of: SizedStagePlan) =>
            partsAt(of, at(of, step)).filter(({ from }) => from === 'dataset');
          expect(dataset(plan)).toEqual(dataset(fresh));
        }
      }),
      { numRuns: 40 },
    );
  });

  test('each rollout is drawn once, a step before its use, and freed after it', () => {
    fc.assert(
      fc.property(settings, (chosen) => {
        const plan = planOf(chosen, 1);
        const drawnAt = new Map<string, number>();
        for (const step of steps(plan)) {
          const state = at(plan, step);
          for (const { handle, ahead } of rolloutsAt(plan, state)) {
            expect(drawnAt.has(handle)).toBe(false);
            expect(ahead).toBe(handle !== 'buffer/on.0');
            drawnAt.set(handle, step);
          }
          const used = partsAt(plan, state).filter((part) => part.from === 'rollout');
          for (const { handle, age } of used) {
            const drawn = drawnAt.get(handle) ?? Number.NaN;
            expect(step - drawn).toBe(step === 0 ? 0 : 1);
            // In steps of the student, which rests while the critics warm up.
            expect(age).toBe(step > chosen.warmup ? 1 : 0);
          }
          expect(releasedAt(plan, state)).toEqual(used.map(({ handle }) => handle));
          for (const { handle } of used) drawnAt.delete(handle);
        }
        expect([...drawnAt.keys()]).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  test('is for one-step iterations of responses that are not replayed', () => {
    const ahead = (...changes: readonly string[]) => drawnPart(ammd(30, ...changes)).ahead;
    const source = 'method.sources.on={max_staleness: 1}';
    expect([ahead(source), ahead(), ahead('method.sources.on={max_staleness: 0}')]).toEqual([
      true,
      false,
      false,
    ]);
    expect(ahead(source, 'method.iteration.minibatches=2')).toBe(false);
    expect(ahead('method.sources.on={max_staleness: 1, replay: {capacity: 4, fresh: 0.5}}')).toBe(false);
  });
});
