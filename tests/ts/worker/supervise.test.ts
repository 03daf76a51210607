import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import type { WorkerFailure } from '../../../ts/wire/errors.js';
import { Reception } from '../../../ts/wire/reception.js';
import { isAlive, logFile, openFake, PYTHON, QUICK, startFake } from './fake_worker.js';

const memory = {} as const;

async function failureOf(promise: Promise<unknown>): Promise<WorkerFailure> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome === undefined) throw new Error('nothing failed');
  return outcome as WorkerFailure;
}

describe('start and stop', () => {
  test.each(['ipc', 'tcp'] as const)('over %s: hello, calls, bye', async (transport) => {
    const { worker, client } = await openFake({}, { transport });
    expect(worker.hello.pid).toBe(worker.pid);
    const calls = Array.from({ length: 200 }, () => client.call('report_memory', memory));
    const ids = (await Promise.all(calls)).map(({ id }) => id);
    expect(ids).toEqual(ids.map((_, index) => index + 1));
    expect(client.traffic().receivedMessages).toBeGreaterThan(200);
    await worker.stop();
    expect((await worker.failed).code).toBe('worker_closed');
    expect(isAlive(worker.pid)).toBe(false);
    expect((await failureOf(client.call('report_memory', memory))).code).toBe('worker_closed');
  });

  test('the process gets its threads, its package folder and the token, and the log its words', async () => {
    const show =
      'import os, sys; print(os.environ["OMP_NUM_THREADS"], os.environ["RAYON_NUM_THREADS"], os.environ["PYTHONPATH"], sys.argv[1:], len(os.environ["AMMD_TOKEN"]), os.environ["PYTHONSAFEPATH"])';
    const command = [PYTHON, '-c', show] as const;
    const failure = await failureOf(
      startFake({}, { command: [...command], threads: 3, packageRoot: '/packages' }),
    );
    expect(failure.code).toBe('worker_start');
    expect(failure.message).toContain('The worker ended before it said hello (exit status 0).');
    expect(failure.logTail).toMatch(/3 3 \/packages.* \['--connect', 'ipc:.*'\] 43 1$/);
    expect(failure.hint).toContain('ammd doctor');
    expect(readFileSync(logFile(), 'utf8')).toContain(failure.logTail ?? 'a tail');
  });

  test('one that does not leave by itself is ended', async () => {
    const { worker } = await openFake({ ignore_bye: true }, { patienceMs: 50 });
    await worker.stop();
    expect(isAlive(worker.pid)).toBe(false);
  });

  test('and so is one that hangs', async () => {
    const { worker, client } = await openFake({ at: { 1: { do: 'silence' } } }, { patienceMs: 50 });
    const call = client.call('report_memory', memory);
    await worker.stop();
    expect(isAlive(worker.pid)).toBe(false);
    expect((await failureOf(call)).code).toBe('worker_closed');
  });
});

describe('a worker that does not start', () => {
  test('no such program', async () => {
    const failure = await failureOf(startFake({}, { command: ['/no/such/python'] }));
    expect(failure.message).toContain('could not be started');
    expect(failure.message).toContain('ENOENT');
  });

  test('an endpoint that cannot be bound leaves no folder behind', async () => {
    const bind = jest.spyOn(Reception, 'open').mockRejectedValueOnce(new Error('cannot be bound'));
    await expect(startFake()).rejects.toThrow('cannot be bound');
    const socket = bind.mock.calls[0]?.[0].replace('ipc://', '') ?? '';
    expect(path.basename(socket)).toBe('worker.sock');
    expect(existsSync(path.dirname(socket))).toBe(false);
    bind.mockRestore();
  });

  test('no hello in time', async () => {
    const failure = await failureOf(startFake({ hello: null }, { handshakeMs: 300 }));
    expect(failure.message).toContain('no hello within 300 ms');
  });

  test('a wrong token', async () => {
    const failure = await failureOf(startFake({ hello: { token: 'guess' } }));
    expect(failure).toMatchObject({ code: 'worker_refused', cause: { code: 'unauthorized' } });
  });

  test('another version', async () => {
    const failure = await failureOf(startFake({ hello: { protocol_version: 7 } }));
    expect(failure).toMatchObject({ code: 'worker_refused', cause: { code: 'version_mismatch' } });
    expect(failure.message).toMatch(/The controller speaks protocol 1 .* the worker 7/);
  });
});

describe('a worker that dies', () => {
  test('of a signal: the message names signal, step and operation, and shows the log', async () => {
    const { worker, client } = await openFake({ at: { 3: { do: 'kill' } } });
    await client.call('report_memory', memory);
    await client.call('report_memory', memory);
    const calls = [client.call('end_step', { step: 12 }), client.call('report_memory', memory)];
    const failure = await worker.failed;
    expect(failure).toMatchObject({
      code: 'worker_exited',
      signal: 'SIGKILL',
      running: { op: 'end_step', step: 12 },
    });
    expect(failure.message).toContain(
      'The worker ended (killed by SIGKILL) while it ran end_step (step 13, request 3).',
    );
    expect(failure.message).toContain('about to be killed');
    for (const call of calls) expect(await failureOf(call)).toBe(failure);
  });

  test('by itself: the message has the exit status', async () => {
    const { worker, client } = await openFake({ at: { 1: { do: 'exit', status: 7 } } });
    client.call('report_memory', memory);
    expect(await worker.failed).toMatchObject({ code: 'worker_exited', exitCode: 7 });
  });

  test('by standing still: it is noticed by its silence, and killed', async () => {
    const { worker, client } = await openFake({ at: { 1: { do: 'silence' } } }, { liveness: QUICK });
    client.call('report_memory', memory);
    expect((await worker.failed).code).toBe('worker_silent');
    await worker.stop();
    expect(isAlive(worker.pid)).toBe(false);
  });

  test('in its operation alone: it is noticed by its progress, and named', async () => {
    const liveness = { heartbeatMs: 50, livenessMs: 60_000, stallMs: 300 };
    const { worker, client } = await openFake({ at: { 1: { do: 'hang' } } }, { liveness });
    client.call('end_step', { step: 4 });
    const failure = await worker.failed;
    expect(failure.code).toBe('worker_stalled');
    expect(failure.message).toContain('while it ran end_step (step 5, request 1)');
  });
});

describe('a worker off the contract', () => {
  test.each([
    ['bytes that are no message', { do: 'raw', hex: 'c1' }],
    ['a body beyond the limit', { do: 'oversize' }],
    ['result and error at once', { do: 'both' }],
    ['a result of the wrong shape', { value: { resident_bytes: 'many' } }],
  ])('%s ends the conversation', async (_name, action) => {
    const { worker, client } = await openFake({ at: { 2: action } });
    await client.call('report_memory', memory);
    const failure = await failureOf(client.call('report_memory', memory));
    expect(failure.code).toBe('worker_misbehaved');
    await worker.kill();
    expect(isAlive(worker.pid)).toBe(false);
  });
});

describe('the pipeline with a process behind it', () => {
  const generate = (tokens: number) =>
    ({
      out: 'session/rollout',
      role: 'student',
      dataset: 'train',
      rows: [0],
      sample_ids: [2 ** 40],
      sampling: {
        temperature: 1,
        top_p: 1,
        top_k: 0,
        max_new_tokens: tokens,
        no_repeat_ngram_size: 0,
        suppress_eos: true,
      },
      seed: Number.MAX_SAFE_INTEGER,
    }) as const;

  test('a failure in the middle, a cancel, a deadline; then the next epoch runs', async () => {
    const script = { at: { 2: { do: 'error', code: 'out_of_memory', applied: false } } };
    const { client } = await openFake(script);
    const calls = [1, 2, 3, 4].map(() => client.call('report_memory', memory));
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'rejected']);
    expect(await failureOf(calls[3] as Promise<unknown>)).toMatchObject({ code: 'aborted', abortedBy: 2 });

    client.openEpoch();
    const controller = new AbortController();
    const cancelled = client.call('generate', generate(60_000), { signal: controller.signal });
    controller.abort();
    expect(await failureOf(cancelled)).toMatchObject({ code: 'cancelled', applied: false });

    client.openEpoch();
    const late = client.call('generate', generate(60_000), { deadlineMs: 20 });
    expect(await failureOf(late)).toMatchObject({ code: 'deadline', applied: false });

    client.openEpoch();
    await client.call('generate', generate(1));
    const fetched = await client.call('fetch', { rollout: 'session/rollout' });
    expect(fetched.frames).toHaveLength(2);
  });

  test('a worker with little room gets everything in order all the same', async () => {
    const order: number[] = [];
    const { client } = await openFake(
      { room: 3, at: { 1: { ms: 300 } } },
      {},
      {
        log: ({ direction, kind, id, error }) => {
          if (direction === 'received' && kind === 'reply' && error === undefined) order.push(id);
        },
      },
    );
    const calls = Array.from({ length: 12 }, () => client.call('report_memory', memory));
    const ids = (await Promise.all(calls)).map(({ id }) => id);
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
    expect(order).toEqual(ids);
    expect(ids.at(-1)).toBeGreaterThan(12); // some were sent again, under new ids
  });

  test('replies that come twice or for no request are dropped', async () => {
    const { client } = await openFake({ at: { 1: { do: 'twice' }, 2: { do: 'stray' } } });
    for (let call = 0; call < 3; call += 1) await client.call('report_memory', memory);
    expect(client.traffic().dropped).toBe(2);
  });
});
