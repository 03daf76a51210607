import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Requester } from '../../../ts/wire/connection.js';
import type { WorkerFailure } from '../../../ts/wire/errors.js';
import { FakeLink, HELLO } from './fake_link.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

function requester(overrides: Partial<Requester> = {}): Requester & { readonly failures: WorkerFailure[] } {
  const failures: WorkerFailure[] = [];
  return {
    failures,
    onReply: () => {},
    onFailure: (failure) => failures.push(failure),
    deadlineOf: () => undefined,
    running: () => ({ op: 'step_student', id: 40, step: 12 }),
    ...overrides,
  };
}

const pong = (progress: number, running?: object) => ({
  kind: 'pong',
  nonce: 1,
  progress,
  queued_requests: 0,
  queued_bytes: 0,
  ...(running === undefined ? {} : { running }),
});

describe('health', () => {
  test('pings every second, and fails ten seconds after the last word', async () => {
    const link = new FakeLink();
    jest.advanceTimersByTime(3000);
    expect(link.sent.map((message) => message.kind)).toEqual(['ping', 'ping', 'ping']);
    link.say(pong(1));
    jest.advanceTimersByTime(10_000);
    expect(link.connection.failure).toBeUndefined();
    jest.advanceTimersByTime(1000);
    const failure = await link.connection.failed;
    expect(failure.code).toBe('worker_silent');
    expect(failure.message).toMatch(/has not answered for 11\.0 s\.$/);
    const sent = link.sent.length;
    jest.advanceTimersByTime(60_000);
    expect(link.sent).toHaveLength(sent);
  });

  test('names the operation that is stuck', () => {
    const link = new FakeLink({ heartbeatMs: 1000, livenessMs: 10_000, stallMs: 5000 });
    link.connection.serve(requester());
    for (let second = 1; second <= 6; second += 1) {
      link.say(pong(3, { id: 40, op: 'step_student', elapsed_ms: second * 1000 }));
      jest.advanceTimersByTime(1000);
    }
    const failure = link.connection.failure;
    expect(failure?.code).toBe('worker_stalled');
    expect(failure?.message).toBe(
      'The worker is stuck while it ran step_student (step 13, request 40): 6.0 s so far, the last 6.0 s without progress.',
    );
    expect(failure?.running).toEqual({ op: 'step_student', id: 40, step: 12 });
  });

  test('an operation over its deadline is stuck although it counts on', () => {
    const link = new FakeLink();
    link.connection.serve(requester({ deadlineOf: (id) => (id === 40 ? 2000 : undefined) }));
    for (let second = 1; second <= 13; second += 1) {
      link.say(pong(second, { id: 40, op: 'generate', elapsed_ms: second * 1000 }));
      jest.advanceTimersByTime(1000);
    }
    expect(link.connection.failure?.code).toBe('worker_stalled');
  });
});

describe('failure', () => {
  test('happens once, tells the requester, and stops sending', () => {
    const link = new FakeLink();
    const served = requester();
    link.connection.serve(served);
    link.connection.fail('worker_exited', 'The worker ended (killed by SIGKILL)', { signal: 'SIGKILL' });
    link.connection.fail('worker_lost', 'later');
    expect(served.failures).toHaveLength(1);
    expect(served.failures[0]).toBe(link.connection.failure);
    expect(link.connection.failure).toMatchObject({ code: 'worker_exited', signal: 'SIGKILL' });
    expect(link.connection.failure?.message).toBe(
      'The worker ended (killed by SIGKILL) while it ran step_student (step 13, request 40).',
    );
    link.connection.ping();
    expect(link.sent).toHaveLength(0);
  });

  test('shows the last lines of the log', () => {
    const link = new FakeLink(undefined, () => 'Traceback\nMemoryError');
    const failure = link.connection.fail('worker_exited', 'The worker ended');
    expect(failure.logTail).toBe('Traceback\nMemoryError');
    expect(failure.message).toMatch(/^The worker ended\.\nLast lines of its log:\nTraceback/);
  });

  test.each([
    ['bytes that are no message', Buffer.from('c1', 'hex')],
    ['a message of the other side', Buffer.from('81a46b696e64a3627965', 'hex')],
  ])('%s end the conversation', (_name, body) => {
    const link = new FakeLink();
    link.connection.receive([body]);
    expect(link.connection.failure?.code).toBe('worker_misbehaved');
  });

  test('so does a second hello', () => {
    const link = new FakeLink();
    link.say(HELLO);
    expect(link.connection.failure?.message).toContain('it said hello twice');
  });

  test('what comes afterwards is not read', () => {
    const link = new FakeLink();
    const replies: number[] = [];
    link.connection.serve(requester({ onReply: (reply) => replies.push(reply.id) }));
    link.succeed(1);
    link.connection.fail('worker_lost', 'gone');
    link.succeed(2);
    expect(replies).toEqual([1]);
  });

  test('a worker that was asked to leave may go', async () => {
    const link = new FakeLink();
    link.connection.leave();
    link.connection.fail('worker_lost', 'The connection to the worker was lost');
    expect(link.sent).toEqual([{ kind: 'bye' }]);
    expect(link.connection.failure?.code).toBe('worker_closed');
    await link.connection.close();
    expect(link.closed).toBe(true);
  });
});
