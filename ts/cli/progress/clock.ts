/** Time as the progress view needs it; tests pass their own. */
export interface Clock {
  /** Milliseconds that never go back. */
  readonly now: () => number;
  /** Calls again and again until the returned function is called; does not keep the process alive. */
  readonly every: (milliseconds: number, action: () => void) => () => void;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  every: (milliseconds, action) => {
    const timer = setInterval(action, milliseconds);
    timer.unref();
    return () => clearInterval(timer);
  },
};
