import { describe, expect, jest, test } from '@jest/globals';
import type { MessageLogEntry } from '../../../ts/dispatch/client.js';
import type { WorkerFailure } from '../../../ts/wire/errors.js';
import { LIMITS } from '../../../ts/wire/protocol.gen.js';
import type { FakeLink } from '../wire/fake_link.js';
import { drop, errorOf, open } from './scripted_worker.js';

const GENERATE = {
  out: 'buffer/on.1',
  role: 'student',
  dataset: 'train',
  rows: [0],
  sample_ids: [0],
  sampling: {
    temperature: 1,
    top_p: 1,
    top_k: 0,
    max_new_tokens: 4,
    no_repeat_ngram_size: 0,
    suppress_eos: false,
  },
  seed: 1,
} as const;

describe('requests', () => {
  test('are sent in order at once, with growing ids, and settle each by its own reply', async () => {
    const { link, client } = open();
    const calls = [
      client.call('load_critic', {
        critic: 'on',
        spec: { head: 'linear', features: 'teacher', hidden_size: 8, bound: 'tanh', bound_value: 1, seed: 0 },
        optimizer: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0 },
      }),
      drop(client),
    ] as const;
    expect(link.requests.map(({ id, op, epoch }) => [id, op, epoch])).toEqual([
      [1, 'load_critic', 0],
      [2, 'drop', 0],
    ]);
    link.succeed(2);
    await calls[1];
    link.succeed(1, { parameters: 12 });
    expect(await calls[0]).toMatchObject({
      op: 'load_critic',
      id: 1,
      result: { parameters: 12 },
      runMs: 2,
      idleMs: 1,
    });
  });

  test('carry deadlines and queue limits; replies bring tensor frames', async () => {
    const { link, client } = open();
    const call = client.call('fetch', { rollout: 'buffer/a' }, { deadlineMs: 50, queueMs: 7 });
    expect(link.requests[0]).toMatchObject({ deadline_ms: 50, queue_ms: 7 });
    const tensor = (dtype: string, frame: number) => ({ dtype, shape: [1, 1], frame });
    const result = { tokens: tensor('int32', 0), log_probs: tensor('float32', 1), texts: ['x'] };
    link.succeed(1, result, Buffer.alloc(4), Buffer.alloc(4));
    const reply = await call;
    expect(reply.frames).toHaveLength(2);
    expect(reply.bytesReceived).toBeGreaterThan(8);
    expect(client.deadlineOf(1)).toBeUndefined();
  });

  test('that break the contract are not sent, and name the field', async () => {
    const { link, client } = open();
    const error = await errorOf(drop(client, 'nonsense'));
    expect(error).toMatchObject({ code: 'invalid_argument', op: 'drop', applied: false });
    expect(error.message).toContain('handles.0');
    expect(link.requests).toHaveLength(0);
  });

  test('that could never fit are refused', async () => {
    const { client } = open({ credits: { requests: 1, bytes: 40, steps: 1 } });
    expect(await errorOf(drop(client))).toMatchObject({ code: 'oversize', applied: false });
  });

  test('are all counted and logged', async () => {
    const entries: MessageLogEntry[] = [];
    const { link, client } = open({ log: (entry) => entries.push(entry) });
    const call = drop(client);
    expect(client.traffic()).toMatchObject({ inFlight: 1, waiting: 0, sentMessages: 1 });
    expect(client.traffic().inFlightBytes).toBe(entries[0]?.bytes);
    link.refuse(1, 'unknown_handle');
    await errorOf(call);
    expect(entries.map(({ direction, kind, id, op, error }) => [direction, kind, id, op, error])).toEqual([
      ['sent', 'request', 1, 'drop', undefined],
      ['received', 'reply', 1, 'drop', 'unknown_handle'],
    ]);
    expect(client.traffic()).toMatchObject({ inFlight: 0, inFlightBytes: 0 });
  });
});

describe('credits', () => {
  test('the contract’s number of requests is in flight, the rest waits', async () => {
    const { link, client } = open();
    const calls = Array.from({ length: LIMITS.maxQueuedRequests + 3 }, () => drop(client));
    expect(link.requests).toHaveLength(LIMITS.maxQueuedRequests);
    expect(client.traffic()).toMatchObject({ inFlight: LIMITS.maxQueuedRequests, waiting: 3 });
    for (let id = 1; id <= calls.length; id += 1) link.succeed(id);
    await Promise.all(calls);
    expect(link.requests.map(({ id }) => id)).toEqual(calls.map((_, index) => index + 1));
  });

  test('bytes count too', () => {
    const { link, client } = open({ credits: { requests: 64, bytes: 150, steps: 2 } });
    for (let call = 0; call < 3; call += 1) drop(client);
    expect(link.requests).toHaveLength(2);
    link.succeed(1);
    expect(link.requests).toHaveLength(3);
  });

  test('no more than two steps are in flight', () => {
    const { link, client } = open();
    for (let step = 0; step < 3; step += 1) {
      drop(client, `step:${step}/batch`);
      client.call('end_step', { step });
    }
    expect(link.requests.map(({ op }) => op)).toEqual(['drop', 'end_step', 'drop', 'end_step']);
    link.succeed(1);
    expect(link.requests).toHaveLength(4);
    link.succeed(2, { metrics: {}, handles: [] });
    expect(link.requests.map(({ op }) => op).slice(4)).toEqual(['drop', 'end_step']);
  });
});

describe('replies nobody waits for', () => {
  test('are dropped by id and counted', async () => {
    const { link, client } = open();
    const call = drop(client);
    link.succeed(99);
    link.succeed(1);
    link.succeed(1);
    await call;
    expect(client.traffic()).toMatchObject({ dropped: 2, inFlight: 0 });
    expect(link.connection.failure).toBeUndefined();
  });
});

describe('a worker off the contract', () => {
  test.each([
    [
      'a result of the wrong shape',
      (link: FakeLink) => link.succeed(1, { extra: 1 }),
      'result of end_step is wrong: metrics: ',
    ],
    [
      'neither result nor error',
      (link: FakeLink) => link.say({ kind: 'reply', id: 1, run_ms: 0, idle_ms: 0 }),
      'either a result or an error',
    ],
    ['a reply to no request', (link: FakeLink) => link.refuse(0, 'malformed'), 'did not understand'],
  ])('%s fails everything that is pending', async (_name, misbehave, message) => {
    const { link, client } = open({ credits: { requests: 2, bytes: 1e6, steps: 2 } });
    const calls = [client.call('end_step', { step: 3 }), drop(client), drop(client)];
    misbehave(link);
    for (const call of calls) {
      const error = await errorOf(call);
      expect(error.code).toBe('worker_misbehaved');
      expect(error.message).toContain(message);
    }
    expect((await client.failed).running).toEqual({ op: 'end_step', id: 1, step: 3 });
  });
});

describe('the end', () => {
  test('every pending and later call fails with one reason that names what ran', async () => {
    const { link, client } = open({ credits: { requests: 2, bytes: 1e6, steps: 2 } });
    const update = { step: 12, batch: 'step:12/batch', lr: 0.1, clip_norm: 1, diagnostics: false };
    const calls = [
      client.call('step_critic', { ...update, updates: [], turn: 0 }),
      client.call('step_student', { ...update, terms: [] }),
      drop(client),
    ];
    link.succeed(1);
    link.connection.fail('worker_exited', 'The worker ended (killed by SIGKILL)', { signal: 'SIGKILL' });
    await calls[0];
    const reason = (await errorOf(calls[1] as Promise<unknown>)) as unknown as WorkerFailure;
    expect(reason.message).toBe(
      'The worker ended (killed by SIGKILL) while it ran step_student (step 13, request 2).',
    );
    expect(await errorOf(calls[2] as Promise<unknown>)).toBe(reason);
    expect(await errorOf(drop(client))).toBe(reason);
    expect(await client.failed).toBe(reason);
    await client.idle();
  });

  test('neither a checkpoint being written nor a rollout in the background is what ran', async () => {
    const { link, client } = open();
    client.call('commit_checkpoint', { checkpoint: 'step-1' });
    client.call('generate', { ...GENERATE, background: true });
    client.call('end_step', { step: 2 });
    expect(link.connection.fail('worker_lost', 'gone').running).toEqual({ op: 'end_step', id: 3, step: 2 });
  });

  test('another rollout is', async () => {
    const { link, client } = open();
    client.call('generate', GENERATE);
    client.call('end_step', { step: 2 });
    expect(link.connection.fail('worker_lost', 'gone').running).toMatchObject({ op: 'generate', id: 1 });
  });

  test('a rejection that nobody awaits harms nobody', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const { link, client } = open();
    drop(client);
    drop(client, 'nonsense');
    link.connection.fail('worker_lost', 'gone');
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).not.toHaveBeenCalled();
    process.off('unhandledRejection', unhandled);
  });

  test('idle resolves when everything is answered', async () => {
    const { link, client } = open();
    await client.idle();
    drop(client);
    let idle = false;
    const waited = client.idle().then(() => {
      idle = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(idle).toBe(false);
    link.succeed(1);
    await waited;
  });
});
