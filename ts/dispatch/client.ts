import type { WorkerFailure } from '../wire/errors.js';
import type { OperationArgs, OperationName, OperationResult } from '../wire/protocol.gen.js';

export interface CallOptions {
  /** Longest execution in ms, counted by the worker from its start. */
  readonly deadlineMs?: number;
  /** Longest wait in the worker's queue in ms. */
  readonly queueMs?: number;
  /** Aborting sends a cancel; the call then settles as the worker's reply says. */
  readonly signal?: AbortSignal;
}

/** What one request came back with. */
export interface Reply<Name extends OperationName> {
  readonly op: Name;
  readonly id: number;
  readonly result: OperationResult<Name>;
  /** Raw tensors that `result` refers to: of `fetch`, which the contract has for a look at a rollout; no run asks. */
  readonly frames: readonly Uint8Array[];
  /** Execution time in the worker, ms. */
  readonly runMs: number;
  /** Time the worker's operation thread had nothing to do before this request, ms. */
  readonly idleMs: number;
  /** From handing the request to the transport to its reply, ms: earlier requests included. */
  readonly roundTripMs: number;
  /** Body and frames of the request, bytes. */
  readonly bytesSent: number;
  /** Body and frames of the reply, bytes. */
  readonly bytesReceived: number;
}

/** Running totals of one connection; every message counts, pings included. */
export interface Traffic {
  readonly sentMessages: number;
  readonly sentBytes: number;
  readonly receivedMessages: number;
  readonly receivedBytes: number;
  /** Requests sent and not yet answered. */
  readonly inFlight: number;
  readonly inFlightBytes: number;
  /** Calls that wait for credits. */
  readonly waiting: number;
  /** Replies dropped because nobody waits for their id. */
  readonly dropped: number;
}

/** One message as a test or a trace reads it. */
export interface MessageLogEntry {
  readonly direction: 'sent' | 'received';
  readonly kind: 'request' | 'reply' | 'cancel';
  readonly id: number;
  readonly op: OperationName | undefined;
  readonly epoch: number;
  readonly bytes: number;
  /** Error code of a reply that failed. */
  readonly error: string | undefined;
}

/**
 * One worker, as the run loop sees it. Calls are sent in the order made, run in that order, and need not be
 * awaited before the next is made.
 *
 * After a call has failed, every later call of the epoch fails with a `WireError` of code `aborted` whose `cause`
 * is that first error, until `openEpoch` is called. A promise nobody awaits may reject without harm: the failure
 * shows in the next call that is awaited.
 */
export interface WorkerClient {
  /** Epoch of the calls made from now on. */
  readonly epoch: number;
  /**
   * Queues one operation.
   *
   * @throws WireError when the request failed (`applied` says whether its changes were made).
   * @throws WorkerFailure when the worker is gone.
   */
  call<Name extends OperationName>(
    op: Name,
    args: OperationArgs<Name>,
    options?: CallOptions,
  ): Promise<Reply<Name>>;
  /** Begins the next epoch, after a failure was dealt with. Returns its number. */
  openEpoch(): number;
  /** Resolves when nothing is in flight or waiting; never rejects. */
  idle(): Promise<void>;
  traffic(): Traffic;
  /** Resolves, once, with the reason when the worker is gone. */
  readonly failed: Promise<WorkerFailure>;
}
