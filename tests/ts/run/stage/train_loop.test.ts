import { describe, expect, jest, test } from '@jest/globals';
import type { StepRow } from '../../../../ts/metrics/rows.js';
import type { SizedStagePlan } from '../../../../ts/plan/types.js';
import { type Barrier, type TrainLoopOptions, trainLoop } from '../../../../ts/run/stage/train_loop.js';
import { INITIAL_STATE } from '../../../../ts/schedule/state.js';
import { ammd } from '../../plan/plans.js';
import { failWith, ScriptedClient } from '../scripted_client.js';

/** Runs the loop; `said` has rows and barriers in the order in which the caller hears of them. */
async function loop(
  stage: SizedStagePlan,
  client = new ScriptedClient(),
  options: Partial<TrainLoopOptions> = {},
  tick = 10,
) {
  const said: string[] = [];
  const rows: StepRow[] = [];
  const barriers: Barrier[] = [];
  let clock = 0;
  const outcome = await trainLoop({
    client,
    stage,
    from: INITIAL_STATE,
    policyVersion: 0,
    now: () => {
      clock += tick;
      return clock;
    },
    onRow: (row) => {
      said.push(`row ${row.step}`);
      rows.push(row);
    },
    atBarrier: async (barrier) => {
      said.push(`barrier ${barrier.state.step}`);
      barriers.push(barrier);
      return (await options.atBarrier?.(barrier)) ?? barrier.state;
    },
    signal: options.signal,
    ...(options.from === undefined ? {} : { from: options.from }),
  }).catch((error: unknown) => error);
  return { outcome, said, rows, barriers, client };
}

/** 6 steps, with a checkpoint only at the end. */
const SIX = ammd(100, 'training.steps=6');

describe('read-ahead', () => {
  test('the next step is sent before the last has been answered, never a third', async () => {
    const { client, said, outcome } = await loop(SIX);
    expect(client.mostStepsAhead).toBe(2);
    expect(said).toEqual(['row 1', 'row 2', 'row 3', 'row 4', 'row 5', 'row 6', 'barrier 6']);
    expect(outcome).toMatchObject({ step: 6, studentStep: 6 });
  });

  test('steps are sent whole, one after another', async () => {
    const { client } = await loop(SIX);
    const step = ['generate', 'build', 'score', 'step_critic', 'step_student', 'end_step'];
    expect(client.ops).toEqual(Array.from({ length: 6 }, () => step).flat());
  });

  test('at a barrier nothing is in flight, and every row has been written', async () => {
    const client = new ScriptedClient();
    const ended: number[] = [];
    const stage = ammd(100, 'training.steps=6', 'checkpoints.every=2');
    const { said, barriers } = await loop(stage, client, {
      atBarrier: async ({ state }) => {
        ended.push(client.argsOf('end_step').length);
        expect(client.ops.at(-1)).toBe('end_step');
        expect(client.argsOf('build')).toHaveLength(state.step);
        return state;
      },
    });
    expect(ended).toEqual([2, 4, 6]);
    expect(said.filter((entry) => entry.startsWith('barrier'))).toEqual([
      'barrier 2',
      'barrier 4',
      'barrier 6',
    ]);
    expect(said.indexOf('barrier 2')).toBe(said.indexOf('row 2') + 1);
    expect(barriers.map(({ plan }) => [plan.checkpoint, plan.evaluate])).toEqual([
      [true, false],
      [true, false],
      [true, false],
    ]);
  });

  test('goes on from the state that the barrier resolves with', async () => {
    const stage = ammd(
      100,
      'method.terms.anchor.weight={kind: adaptive, from: 0, to: 1, increment: 0.5, metric: exact_match}',
      'training.steps=5',
      'evaluation.every=2',
    );
    const moved = { 'terms.anchor.weight': { moves: 1, mark: 0 } };
    const { client, outcome } = await loop(stage, new ScriptedClient(), {
      atBarrier: async ({ state }) => (state.step === 2 ? { ...state, adaptive: moved } : state),
    });
    const weights = client.argsOf('step_student').map(({ terms }) => terms.at(-1)?.weight);
    expect(weights).toEqual([0, 0, 0.5, 0.5, 0.5]);
    expect(outcome).toMatchObject({ step: 5, adaptive: moved });
  });

  test('what happens at a barrier is not time of the next step', async () => {
    let clock = 0;
    const seconds: number[] = [];
    await trainLoop({
      client: new ScriptedClient(),
      stage: ammd(100, 'training.steps=2', 'checkpoints.every=1'),
      from: INITIAL_STATE,
      policyVersion: 0,
      now: () => clock,
      onRow: (row) => seconds.push(row.seconds.total),
      atBarrier: async ({ state }) => {
        clock += 60_000;
        return state;
      },
      signal: undefined,
    });
    expect(seconds).toEqual([0, 0]);
  });

  test('in critic warm-up rows carry the version of the restored student on', async () => {
    const stage = ammd(100, 'training.steps=2', 'method.adversary.warmup_steps=2');
    const { rows } = await loop(stage);
    expect(rows.map((row) => row.policy_version)).toEqual([0, 0, 1, 2]);
  });
});

describe('a stage that no step number saves', () => {
  const MINUTES = 4 * 60_000; // between two looks at the clock, of which a step takes two
  const saved = async (stage: SizedStagePlan, tick: number) => {
    const { barriers, outcome } = await loop(stage, new ScriptedClient(), {}, tick);
    expect(outcome).toMatchObject({ step: stage.steps });
    return barriers.map(({ state, overdue }) => [state.step, overdue]);
  };
  const twelve = (every: number) => ammd(100, 'training.steps=12', `checkpoints.every=${every}`);

  test('is saved by the clock, each half hour anew', async () => {
    const found = await saved(twelve(0), MINUTES);
    expect(found.filter(([, overdue]) => overdue).length).toBeGreaterThanOrEqual(2);
    expect(found.at(-1)?.[0]).toBe(12);
  });

  test('is not while that is young, or where numbers do', async () => {
    expect(await saved(twelve(0), 10)).toEqual([[12, false]]);
    expect(await saved(twelve(5), MINUTES)).toEqual([
      [5, false],
      [10, false],
      [12, false],
    ]);
  });
});

describe('stopping', () => {
  test('a signal ends the loop after the steps in flight, with a barrier that says so', async () => {
    const stop = new AbortController();
    const client = new ScriptedClient().before('step_student', 2, () => stop.abort());
    const { said, barriers, outcome } = await loop(SIX, client, { signal: stop.signal });
    const { step } = outcome as { readonly step: number };
    expect(step).toBeGreaterThanOrEqual(2);
    expect(step).toBeLessThanOrEqual(4);
    expect(said.at(-1)).toBe(`barrier ${step}`);
    expect(said.at(-2)).toBe(`row ${step}`);
    expect(barriers).toHaveLength(1);
    expect(barriers[0]?.stopping).toBe(true);
    expect(client.argsOf('end_step')).toHaveLength(step);
  });

  test('the state it returns goes on with the same steps', async () => {
    const whole = await loop(SIX);
    const stop = new AbortController();
    const client = new ScriptedClient().before('step_student', 1, () => stop.abort());
    const first = await loop(SIX, client, { signal: stop.signal });
    const rest = await loop(SIX, client, { from: first.outcome as typeof INITIAL_STATE });
    expect(client.requests).toEqual(whole.client.requests);
    expect([...first.rows, ...rest.rows].map(({ metrics }) => metrics)).toEqual(
      whole.rows.map(({ metrics }) => metrics),
    );
  });

  test('a finished stage has nothing to do', async () => {
    const { outcome } = await loop(SIX);
    const { said, client } = await loop(SIX, new ScriptedClient(), { from: outcome as typeof INITIAL_STATE });
    expect(said).toEqual([]);
    expect(client.requests).toEqual([]);
  });
});

describe('failure', () => {
  test('the rows before the failing step are written, later ones not', async () => {
    const client = new ScriptedClient().before('step_critic', 3, failWith('out_of_memory'));
    const { said, outcome } = await loop(SIX, client);
    expect(outcome).toMatchObject({ code: 'out_of_memory' });
    expect(said).toEqual(['row 1', 'row 2']);
  });

  test('the step behind a failing one rejects without harm', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    try {
      const client = new ScriptedClient().before('generate', 2, failWith('internal'));
      const { outcome } = await loop(SIX, client);
      await client.idle();
      await new Promise((resolve) => setTimeout(resolve, 0));
      expect(outcome).toMatchObject({ code: 'internal' });
      expect(client.mostStepsAhead).toBe(2);
      expect(unhandled).not.toHaveBeenCalled();
    } finally {
      process.off('unhandledRejection', unhandled);
    }
  });

  test('what the barrier throws ends the loop', async () => {
    const { outcome } = await loop(
      ammd(100, 'training.steps=6', 'checkpoints.every=2'),
      new ScriptedClient(),
      {
        atBarrier: async () => {
          throw new Error('disk full');
        },
      },
    );
    expect(outcome).toMatchObject({ message: 'disk full' });
  });
});
