/** Why a run stops that nobody asked to: the reason of the signal that stops it. */
export class TimeOver {
  constructor(readonly hours: number) {}
}

export interface WallTime {
  /** Aborted when the run is to stop; undefined where nothing may ever stop it. */
  readonly signal: AbortSignal | undefined;
  /** Stops counting. */
  readonly release: () => void;
}

const HOUR_MS = 3_600_000;
// Looked at again and again: a timer of more than 2^31 ms (25 days) would fire at once.
const LOOK_EVERY_MS = 1000;

/**
 * A signal that is aborted by `stop`, or by itself once `hours` have passed from now.
 *
 * @param hours null is no limit.
 * @param onOver called when the time is over and nobody asked before.
 */
export function limitTime(
  hours: number | null,
  stop: AbortSignal | undefined,
  onOver: (over: TimeOver) => void,
): WallTime {
  if (hours === null) return { signal: stop, release: () => {} };
  const own = new AbortController();
  const end = performance.now() + hours * HOUR_MS;
  const timer = setInterval(() => {
    if (performance.now() < end) return;
    clearInterval(timer);
    const over = new TimeOver(hours);
    if (!stop?.aborted) onOver(over);
    own.abort(over);
  }, LOOK_EVERY_MS);
  timer.unref();
  return {
    signal: stop === undefined ? own.signal : AbortSignal.any([stop, own.signal]),
    release: () => clearInterval(timer),
  };
}
