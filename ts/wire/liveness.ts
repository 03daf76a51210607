import { LIMITS, type PongMessage, type Running } from './protocol.gen.js';

export interface LivenessLimits {
  /** Interval of pings. */
  readonly heartbeatMs: number;
  /** Silence after which a worker is taken for dead. */
  readonly livenessMs: number;
  /** Time without progress of one operation after which it is taken for stuck. */
  readonly stallMs: number;
}

export const DEFAULT_LIVENESS: LivenessLimits = {
  heartbeatMs: LIMITS.heartbeatMs,
  livenessMs: LIMITS.livenessMs,
  // Progress counts tokens and micro-batches, seconds apart at most; half an hour leaves room for a download.
  stallMs: 1_800_000,
};

/** What is known of a worker's health. Times are in ms of a monotonic clock. */
export interface Liveness {
  /** Any message. */
  readonly heardAt: number;
  /** Progress changed, another operation began, or none ran. */
  readonly progressAt: number;
  readonly progress: number;
  readonly running: Running | undefined;
  /** This side last looked. */
  readonly lookedAt: number;
}

export type Verdict =
  | { readonly kind: 'alive' }
  /** The socket thread, or the whole process, hangs. */
  | { readonly kind: 'silent'; readonly forMs: number }
  /** The operation hangs: no progress, or far over its deadline. */
  | { readonly kind: 'stalled'; readonly running: Running; readonly forMs: number };

export function newLiveness(now: number): Liveness {
  return { heardAt: now, progressAt: now, progress: 0, running: undefined, lookedAt: now };
}

export function hearMessage(state: Liveness, now: number): Liveness {
  return { ...state, heardAt: now };
}

export function hearPong(state: Liveness, pong: PongMessage, now: number): Liveness {
  const moved =
    pong.running === undefined || pong.running.id !== state.running?.id || pong.progress !== state.progress;
  return {
    ...state,
    heardAt: now,
    progressAt: moved ? now : state.progressAt,
    progress: pong.progress,
    running: pong.running,
  };
}

/**
 * To be called every `heartbeatMs`, before `judge`. When this process itself was held up (a long computation, a
 * stopped terminal), pongs may lie unread: that time is not the worker's.
 */
export function look(state: Liveness, now: number, limits: LivenessLimits): Liveness {
  const heldUp = now - state.lookedAt - 2 * limits.heartbeatMs;
  const excused = heldUp > 0 ? now - state.lookedAt : 0;
  return {
    ...state,
    heardAt: Math.min(now, state.heardAt + excused),
    progressAt: Math.min(now, state.progressAt + excused),
    lookedAt: now,
  };
}

/** @param deadlineOf deadline of a request in ms of execution, when it has one. */
export function judge(
  state: Liveness,
  now: number,
  limits: LivenessLimits,
  deadlineOf: (id: number) => number | undefined,
): Verdict {
  const silence = now - state.heardAt;
  if (silence > limits.livenessMs) return { kind: 'silent', forMs: silence };
  const running = state.running;
  if (running === undefined) return { kind: 'alive' };
  const still = now - state.progressAt;
  const overdue = running.elapsed_ms - (deadlineOf(running.id) ?? Number.POSITIVE_INFINITY);
  if (still > limits.stallMs || overdue > limits.livenessMs)
    return { kind: 'stalled', running, forMs: still };
  return { kind: 'alive' };
}
