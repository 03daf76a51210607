import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { SizedStagePlan } from '../../../ts/plan/types.js';
import { isReplayed, pickRows, type ReplayPart } from '../../../ts/schedule/replay.js';
import { ammd } from '../plan/plans.js';
import { walk } from './walk.js';

/** Half of a batch of 8 is the student's: a rollout has 4 rows. */
const replaying = (source: string, ...changes: readonly string[]) =>
  ammd(50, `method.sources.on=${source}`, ...changes);

function partOf(plan: SizedStagePlan): ReplayPart {
  const part = plan.parts.find(isReplayed);
  if (part === undefined) throw new Error('nothing is replayed');
  return part;
}

const originsIn = (plan: SizedStagePlan) =>
  walk(plan).map(({ plan: { origins } }) =>
    origins?.fresh ? 'fresh' : origins?.replayed ? 'replayed' : 'dataset',
  );

describe('the rule', () => {
  test('draws until the buffer is full, then replays', () => {
    // 10 rows hold two rollouts of 4.
    const plan = replaying('{replay: {capacity: 10, fresh: 0}}', 'training.steps=5');
    expect(originsIn(plan)).toEqual(['fresh', 'fresh', 'replayed', 'replayed', 'replayed']);
  });

  test('draws for ever at fresh: 1, pushing out the oldest', () => {
    const plan = replaying('{replay: {capacity: 10, fresh: 1}}', 'training.steps=5');
    expect(originsIn(plan)).toEqual(Array(5).fill('fresh'));
    expect(walk(plan).map(({ after }) => after.replay.on)).toEqual([[0], [0, 1], [1, 2], [2, 3], []]);
    expect(walk(plan).map(({ plan: { release } }) => release)).toEqual([
      [],
      [],
      ['buffer/on.0'],
      ['buffer/on.1'],
      ['buffer/on.2', 'buffer/on.3', 'buffer/on.4'],
    ]);
  });

  test('takes the dataset’s own responses at probability 0, and keeps nothing', () => {
    const plan = replaying('{probability: 0, replay: {fresh: 0.5}}', 'training.steps=4');
    expect(originsIn(plan)).toEqual(Array(4).fill('dataset'));
    expect(walk(plan).every(({ after }) => after.replay.on?.length === 0)).toBe(true);
  });

  test('of a full buffer, the share fresh of φ draws and the rest of φ replays', () => {
    const plan = replaying('{probability: 0.8, replay: {capacity: 8, fresh: 0.25}}', 'training.steps=4000');
    const origins = originsIn(plan).slice(10);
    const share = (kind: string) => origins.filter((origin) => origin === kind).length / origins.length;
    // Three standard errors of 4,000 draws are at most 0.024.
    expect(Math.abs(share('fresh') - 0.2)).toBeLessThan(0.024);
    expect(Math.abs(share('replayed') - 0.6)).toBeLessThan(0.024);
    expect(Math.abs(share('dataset') - 0.2)).toBeLessThan(0.024);
  });

  test('of φ with fresh from 1 to 0, as DistiLLM has it, replays more and more', () => {
    const plan = replaying(
      '{replay: {capacity: 8, fresh: {kind: linear, from: 1, to: 0}}}',
      'training.steps=2000',
    );
    const origins = originsIn(plan);
    const replayed = (from: number) =>
      origins.slice(from, from + 500).filter((origin) => origin === 'replayed').length / 500;
    expect(Math.abs(replayed(0) - 0.125)).toBeLessThan(0.06);
    expect(Math.abs(replayed(1500) - 0.875)).toBeLessThan(0.06);
  });
});

interface Settings {
  readonly capacity: number;
  readonly fresh: number;
  readonly probability: number;
  readonly staleness: number | null;
  readonly warmup: number;
}

const settings: fc.Arbitrary<Settings> = fc.record({
  capacity: fc.integer({ min: 4, max: 40 }),
  fresh: fc.double({ min: 0, max: 1, noNaN: true }),
  probability: fc.double({ min: 0, max: 1, noNaN: true }),
  staleness: fc.option(fc.integer({ min: 0, max: 12 }), { nil: null }),
  warmup: fc.nat(4),
});

const planned = ({ capacity, fresh, probability, staleness, warmup }: Settings) =>
  replaying(
    JSON.stringify({ probability, max_staleness: staleness, replay: { capacity, fresh } }),
    'training.steps=30',
    `method.adversary.warmup_steps=${warmup}`,
  );

test('what is held in the worker is what the state says, and one rollout beyond the capacity at most', () => {
  fc.assert(
    fc.property(settings, (given) => {
      const plan = planned(given);
      const held = new Set<string>();
      for (const { plan: step, after } of walk(plan)) {
        for (const { handle } of step.rollouts) {
          expect(held.has(handle)).toBe(false);
          held.add(handle);
        }
        expect(4 * held.size).toBeLessThanOrEqual(given.capacity + 4);
        for (const part of step.parts) if (part.from === 'rollout') expect(held).toContain(part.handle);
        for (const handle of step.release) expect(held.delete(handle)).toBe(true);
        expect([...held]).toEqual((after.replay.on ?? []).map((drawn) => `buffer/on.${drawn}`));
        expect(4 * held.size).toBeLessThanOrEqual(given.capacity);
      }
      expect(held.size).toBe(0);
    }),
    { numRuns: 40 },
  );
});

test('no row is older than max_staleness, ages are in steps of the student, and a batch is whole', () => {
  fc.assert(
    fc.property(settings, (given) => {
      for (const { plan: step, before } of walk(planned(given))) {
        const on = step.parts.filter(({ part }) => part === 'on');
        let rows = 0;
        for (const part of on) {
          rows += part.from === 'dataset' ? part.rows.length : part.size;
          if (part.from === 'dataset') continue;
          const drawn = Number(part.handle.split('.').at(-1));
          expect(part.age).toBe(before.studentStep - Math.max(0, drawn - given.warmup));
          if (given.staleness !== null) expect(part.age).toBeLessThanOrEqual(given.staleness);
        }
        expect(rows).toBe(4);
      }
    }),
    { numRuns: 40 },
  );
});

describe('picks', () => {
  const part = partOf(replaying('{replay: {capacity: 100, fresh: 0.5}}'));
  const held = [3, 7, 8, 20, 31];
  const rowsAt = (step: number) =>
    pickRows(part, held, step).flatMap(({ drawn, picks }) => picks.map((pick) => `${drawn}.${pick}`));

  test('are as many as the part has rows, distinct, and of what is held', () => {
    for (let step = 40; step < 200; step += 1) {
      const rows = rowsAt(step);
      expect(new Set(rows).size).toBe(4);
      for (const { drawn, picks } of pickRows(part, held, step)) {
        expect(held).toContain(drawn);
        for (const pick of picks) expect([0, 1, 2, 3]).toContain(pick);
      }
    }
  });

  test('take every row equally often', () => {
    const counts = new Map<string, number>();
    const draws = 5000;
    for (let step = 0; step < draws; step += 1) {
      for (const row of rowsAt(step)) counts.set(row, (counts.get(row) ?? 0) + 1);
    }
    expect(counts.size).toBe(20);
    // 4 of 20 rows a draw: 1,000 each, standard deviation 28.
    for (const count of counts.values()) expect(Math.abs(count - draws / 5)).toBeLessThan(4 * 28);
  });

  test('follow from the step alone, and differ from step to step', () => {
    expect(rowsAt(50)).toEqual(rowsAt(50));
    expect(new Set(Array.from({ length: 50 }, (_, step) => rowsAt(step).join())).size).toBeGreaterThan(45);
  });
});
