import { AmmdError, type ErrorOptionsWithHint } from '../common/errors.js';
import type { ErrorCode, OperationName } from './protocol.gen.js';

/** Where an error belongs in the pipeline. */
export interface WireErrorOptions extends ErrorOptionsWithHint {
  readonly op?: OperationName;
  readonly id?: number;
  /** Whether the operation's changes were made; left out when nobody can know. */
  readonly applied?: boolean;
  /** Id of the request that failed first in the epoch. */
  readonly abortedBy?: number;
  /** Traceback of the worker, or further lines. */
  readonly detail?: string;
}

/**
 * A request failed, or a message breaks the contract. `code` is one of the contract's error codes, whether the
 * worker answered it or this side refused the message itself. The worker lives on.
 */
export class WireError extends AmmdError {
  readonly op: OperationName | undefined;
  readonly id: number | undefined;
  readonly applied: boolean | undefined;
  readonly abortedBy: number | undefined;
  readonly detail: string | undefined;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: WireErrorOptions = {},
  ) {
    super(message, options);
    this.op = options.op;
    this.id = options.id;
    this.applied = options.applied;
    this.abortedBy = options.abortedBy;
    this.detail = options.detail;
  }
}

/** There is no place to meet a worker at. */
export class EndpointError extends AmmdError {
  readonly code = 'endpoint';
}

/** Why there is no worker to talk to any more. */
export type WorkerFailureCode =
  /** The process ended by itself or by a signal. */
  | 'worker_exited'
  /** The process could not be started, or did not introduce itself in time. */
  | 'worker_start'
  /** Version, hash or token did not agree. */
  | 'worker_refused'
  /** No word from its socket thread for `liveness_ms`. */
  | 'worker_silent'
  /** Its socket thread answers, its operation makes no progress. */
  | 'worker_stalled'
  /** The transport lost it. */
  | 'worker_lost'
  /** It sent something that the contract does not allow. */
  | 'worker_misbehaved'
  /** This side closed the connection. */
  | 'worker_closed';

/** What a worker was doing when it failed, as far as this side knows. */
export interface RunningRequest {
  readonly op: string;
  readonly id: number;
  /** Optimizer step, where the operation has one. */
  readonly step?: number;
}

export interface WorkerFailureOptions extends ErrorOptionsWithHint {
  readonly running?: RunningRequest;
  readonly exitCode?: number;
  readonly signal?: string;
  /** Last lines of the worker's log. */
  readonly logTail?: string;
}

/** The worker is gone: every pending and later call fails with this; only a new worker helps. */
export class WorkerFailure extends AmmdError {
  readonly running: RunningRequest | undefined;
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly logTail: string | undefined;

  constructor(
    readonly code: WorkerFailureCode,
    message: string,
    options: WorkerFailureOptions = {},
  ) {
    super(message, options);
    this.running = options.running;
    this.exitCode = options.exitCode;
    this.signal = options.signal;
    this.logTail = options.logTail;
  }
}
