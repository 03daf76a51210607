import { describe, expect, test } from '@jest/globals';
import {
  hearMessage,
  hearPong,
  judge,
  type Liveness,
  type LivenessLimits,
  look,
  newLiveness,
} from '../../../ts/wire/liveness.js';
import type { PongMessage } from '../../../ts/wire/protocol.gen.js';

const LIMITS: LivenessLimits = { heartbeatMs: 10, livenessMs: 100, stallMs: 1000 };
const noDeadline = () => undefined;

function pong(id: number | undefined, progress: number, elapsed = 0): PongMessage {
  const rest = { kind: 'pong', nonce: 1, progress, queued_requests: 0, queued_bytes: 0 } as const;
  return id === undefined ? rest : { ...rest, running: { id, op: 'generate', elapsed_ms: elapsed } };
}

/** Looks at every heartbeat from where the state was last looked at. */
function lookUntil(state: Liveness, end: number, hear: (state: Liveness, now: number) => Liveness): Liveness {
  let current = state;
  for (let now = state.lookedAt + LIMITS.heartbeatMs; now <= end; now += LIMITS.heartbeatMs) {
    current = hear(look(current, now, LIMITS), now);
  }
  return current;
}

const verdict = (state: Liveness, now: number, deadlineOf: (id: number) => number | undefined = noDeadline) =>
  judge(state, now, LIMITS, deadlineOf).kind;

describe('silence', () => {
  test('a worker is dead after livenessMs without a message, not before', () => {
    const state = lookUntil(newLiveness(0), 100, (s) => s);
    expect(verdict(state, 100)).toBe('alive');
    expect(verdict(state, 101)).toBe('silent');
  });

  test('any message is a sign of life', () => {
    const state = lookUntil(newLiveness(0), 200, (s, now) => (now === 90 ? hearMessage(s, now) : s));
    expect(verdict(state, 190)).toBe('alive');
    expect(verdict(state, 191)).toBe('silent');
  });

  test('time in which this process itself was held up is not the worker’s', () => {
    const before = lookUntil(newLiveness(0), 50, (s, now) => hearMessage(s, now));
    const after = look(before, 5050, LIMITS);
    expect(verdict(after, 5050)).toBe('alive');
    // It does not excuse a worker that stays silent afterwards.
    expect(
      verdict(
        lookUntil(after, 5160, (s) => s),
        5160,
      ),
    ).toBe('silent');
  });
});

describe('progress', () => {
  test('an operation without progress for stallMs is stuck, and named', () => {
    const state = lookUntil(newLiveness(0), 1100, (s, now) => hearPong(s, pong(7, 3), now));
    expect(verdict(state, 1010)).toBe('alive');
    expect(judge(state, 1011, LIMITS, noDeadline)).toMatchObject({
      kind: 'stalled',
      running: { id: 7, op: 'generate' },
    });
  });

  test('progress, another operation, or none at all start the count again', () => {
    const pongs = [pong(7, 4), pong(8, 3), pong(undefined, 3)];
    for (const change of pongs) {
      const stuck = lookUntil(newLiveness(0), 900, (s, now) => hearPong(s, pong(7, 3), now));
      const moved = hearPong(stuck, change, 900);
      const state = lookUntil(moved, 1800, (s, now) => hearPong(s, change, now));
      expect(verdict(state, 1800)).toBe('alive');
    }
  });

  test('an operation far over its deadline is stuck even if it counts on', () => {
    const deadlineOf = (id: number) => (id === 7 ? 50 : undefined);
    const at = (elapsed: number) => hearPong(newLiveness(0), pong(7, elapsed, elapsed), 0);
    expect(verdict(at(150), 0, deadlineOf)).toBe('alive');
    expect(verdict(at(151), 0, deadlineOf)).toBe('stalled');
    expect(verdict(at(151), 0)).toBe('alive');
  });
});
