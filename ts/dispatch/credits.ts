import { LIMITS } from '../wire/protocol.gen.js';

/** What one request, or all requests in flight, take of a worker's queue. */
export interface Load {
  readonly requests: number;
  /** Bodies and frames. */
  readonly bytes: number;
  /** Optimizer steps whose end has not been answered. */
  readonly steps: number;
}

export const NO_LOAD: Load = { requests: 0, bytes: 0, steps: 0 };

/** The contract's limits: a worker answers `busy` beyond the first two. */
export const CREDITS: Load = {
  requests: LIMITS.maxQueuedRequests,
  bytes: LIMITS.maxQueuedBytes,
  steps: LIMITS.maxStepsAhead,
};

export function add(load: Load, cost: Load): Load {
  return {
    requests: load.requests + cost.requests,
    bytes: load.bytes + cost.bytes,
    steps: load.steps + cost.steps,
  };
}

export function subtract(load: Load, cost: Load): Load {
  return add(load, { requests: -cost.requests, bytes: -cost.bytes, steps: -cost.steps });
}

/** Whether a request may be sent. What follows the last step allowed belongs to the next step already. */
export function fits(load: Load, cost: Load, credits: Load): boolean {
  const after = add(load, cost);
  return after.requests <= credits.requests && after.bytes <= credits.bytes && load.steps < credits.steps;
}
