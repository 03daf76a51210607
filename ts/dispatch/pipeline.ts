import { byteCount, encodeMessage } from '../wire/codec.js';
import type { Connection, Requester } from '../wire/connection.js';
import { type RunningRequest, WireError, type WorkerFailure } from '../wire/errors.js';
import type { ErrorInfo, OperationArgs, OperationName, ReplyMessage } from '../wire/protocol.gen.js';
import type { CallOptions, MessageLogEntry, Reply, Traffic, WorkerClient } from './client.js';
import { add, CREDITS, fits, type Load, NO_LOAD, subtract } from './credits.js';
import {
  abortedError,
  busyError,
  cancelledError,
  costOf,
  describe,
  type Epoch,
  encodeRequest,
  errorOf,
  newRequest,
  type Request,
  readReply,
  watchSignal,
} from './request.js';

export interface PipelineOptions {
  /** Requests, bytes and steps in flight; the contract's limits unless a test wants less. */
  readonly credits?: Load;
  /** Hears of every request, reply and cancel. */
  readonly log?: (entry: MessageLogEntry) => void;
  /** Time that a cancelled request may take to answer before its caller is told anyway. */
  readonly cancelGraceMs?: number;
}

/** Whether later requests do not wait for this one: a checkpoint's files and some rollouts are made beside them. */
const isOvertaken = ({ op, args }: Request): boolean =>
  op === 'commit_checkpoint' || ('background' in args && args.background === true);

/** Sends the calls of one connection in order, many in flight, and settles each by its own reply. */
export class Pipeline implements WorkerClient, Requester {
  readonly failed: Promise<WorkerFailure>;
  readonly #connection: Connection;
  readonly #credits: Load;
  readonly #log: (entry: MessageLogEntry) => void;
  readonly #cancelGraceMs: number;
  /** Calls not sent yet, first in first out. */
  #waiting: Request[] = [];
  /** Sent and not answered, in the order sent. */
  readonly #inFlight = new Map<number, Request>();
  /** Calls the worker had no room for, in the order sent. */
  #refused: Request[] = [];
  #load: Load = NO_LOAD;
  #epoch: Epoch = { number: 0, failure: undefined };
  #lastId = 0;
  #lastEpoch = 0;
  #dropped = 0;
  /** Since refused calls were last sent again. */
  #somethingRan = true;
  #idleWaiters: (() => void)[] = [];

  constructor(connection: Connection, options: PipelineOptions = {}) {
    this.#connection = connection;
    this.#credits = options.credits ?? CREDITS;
    this.#log = options.log ?? (() => {});
    this.#cancelGraceMs = options.cancelGraceMs ?? 10_000;
    this.failed = connection.failed;
    connection.serve(this);
  }

  get epoch(): number {
    return this.#epoch.number;
  }

  openEpoch(): number {
    this.#lastEpoch += 1;
    this.#epoch = { number: this.#lastEpoch, failure: undefined };
    return this.#lastEpoch;
  }

  call<Name extends OperationName>(
    op: Name,
    args: OperationArgs<Name>,
    options: CallOptions = {},
  ): Promise<Reply<Name>> {
    const promise = new Promise<Reply<Name>>((resolve, reject) => {
      const epoch = this.#epoch;
      const failure =
        this.#connection.failure ?? (epoch.failure && abortedError(op, undefined, epoch.failure));
      if (failure !== undefined) return reject(failure);
      const complete: Request['resolve'] = (request, message, frames, bytesReceived) => {
        const bytesSent = byteCount(request.frames);
        const roundTripMs = performance.now() - request.sentAt;
        resolve(readReply(op, message, { frames, bytesSent, bytesReceived, roundTripMs }));
      };
      try {
        this.#enqueue(newRequest(op, args, options, epoch, this.#lastId + 1, complete, reject));
      } catch (error) {
        if (error instanceof WireError) this.#failEpoch(epoch, error);
        reject(error);
      }
    });
    // A caller that awaits only the last of several calls still learns of the first failure, from the last.
    promise.catch(() => {});
    return promise;
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve);
      this.#tellIdle();
    });
  }

  traffic(): Traffic {
    return {
      ...this.#connection.traffic(),
      inFlight: this.#load.requests,
      inFlightBytes: this.#load.bytes,
      waiting: this.#waiting.length + this.#refused.length,
      dropped: this.#dropped,
    };
  }

  deadlineOf(id: number): number | undefined {
    return this.#inFlight.get(id)?.options.deadlineMs;
  }

  running(): RunningRequest | undefined {
    const first = [...this.#inFlight.values()].find((request) => !isOvertaken(request));
    return first && describe(first);
  }

  onFailure(failure: WorkerFailure): void {
    const pending = [...this.#inFlight.values(), ...this.#refused, ...this.#waiting];
    this.#inFlight.clear();
    this.#refused = [];
    this.#waiting = [];
    this.#load = NO_LOAD;
    for (const request of pending) {
      request.release();
      request.reject(failure);
    }
    this.#tellIdle();
  }

  onReply(reply: ReplyMessage, tensors: readonly Uint8Array[], bytes: number): void {
    const request = this.#inFlight.get(reply.id);
    this.#note('received', 'reply', reply.id, request, bytes, reply.error?.code);
    if (reply.id === 0) throw new Error(`it did not understand a message: ${reply.error?.message ?? ''}`);
    if (request === undefined) {
      this.#dropped += 1;
      return;
    }
    if ((reply.error === undefined) === (reply.result === undefined)) {
      throw new Error(`the reply to ${request.op} must have either a result or an error`);
    }
    // Throws when the result is malformed: the connection then fails, and this request with it.
    if (reply.error === undefined) this.#somethingRan = true;
    if (reply.error === undefined && !request.abandoned) request.resolve(request, reply, tensors, bytes);
    this.#inFlight.delete(reply.id);
    this.#load = subtract(this.#load, costOf(request));
    if (request.abandoned) this.#dropped += 1;
    else if (reply.error !== undefined) this.#settleError(request, reply.error);
    if (!this.#refused.includes(request)) request.release();
    this.#resendRefused();
    this.#pump();
    this.#tellIdle();
  }

  #enqueue(request: Request): void {
    const bytes = byteCount(request.frames);
    if (bytes > this.#credits.bytes) {
      const message = `${request.op} has ${bytes} bytes; the worker takes ${this.#credits.bytes} at a time.`;
      throw new WireError('oversize', message, { op: request.op, applied: false });
    }
    this.#lastId = request.id;
    watchSignal(request, (reason) => this.#cancel(request, reason));
    this.#waiting.push(request);
    this.#pump();
  }

  /** Sends what the credits allow. */
  #pump(): void {
    for (let request = this.#waiting[0]; request !== undefined; request = this.#waiting[0]) {
      if (this.#refused.length > 0 || !fits(this.#load, costOf(request), this.#credits)) return;
      this.#waiting.shift();
      this.#inFlight.set(request.id, request);
      this.#load = add(this.#load, costOf(request));
      request.sentAt = performance.now();
      this.#note('sent', 'request', request.id, request, byteCount(request.frames));
      this.#connection.send(request.frames);
    }
  }

  #settleError(request: Request, info: ErrorInfo): void {
    const [firstRefused] = this.#refused;
    const failure = request.epoch.failure;
    const behindRefused = info.code === 'aborted' && firstRefused?.epoch === request.epoch;
    if (failure === undefined && (info.code === 'busy' || behindRefused)) {
      this.#refused.push(request);
      return;
    }
    this.#somethingRan = true;
    const error =
      info.code === 'aborted' && failure !== undefined
        ? abortedError(request.op, request.id, failure)
        : errorOf(request, info);
    this.#failEpoch(request.epoch, error);
    request.reject(error);
  }

  /** Remembers the first failure of an epoch; what it keeps from being sent fails at once. */
  #failEpoch(epoch: Epoch, error: WireError): void {
    if (epoch.failure !== undefined) return;
    epoch.failure = error;
    const unsent = [...this.#refused, ...this.#waiting].filter((request) => request.epoch === epoch);
    this.#refused = this.#refused.filter((request) => request.epoch !== epoch);
    this.#waiting = this.#waiting.filter((request) => request.epoch !== epoch);
    for (const request of unsent) {
      request.release();
      request.reject(abortedError(request.op, undefined, error));
    }
    // What waited behind them may fit now; not in this call stack, which may be a caller's.
    queueMicrotask(() => {
      this.#resendRefused();
      this.#pump();
      this.#tellIdle();
    });
  }

  /** Sends refused calls again once the queue is empty: under new ids, in new epochs, in the same order. */
  #resendRefused(): void {
    const [first] = this.#refused;
    if (first === undefined || this.#inFlight.size > 0) return;
    if (!this.#somethingRan) {
      // Refused with an empty queue: the worker will not have it.
      this.#settleUnsent(first, busyError(first));
      return;
    }
    this.#somethingRan = false;
    this.#waiting = [...this.#refused, ...this.#waiting];
    this.#refused = [];
    for (const epoch of new Set([...this.#waiting.map((request) => request.epoch), this.#epoch])) {
      this.#lastEpoch += 1;
      epoch.number = this.#lastEpoch;
    }
    for (const request of this.#waiting) {
      this.#lastId += 1;
      request.id = this.#lastId;
      request.frames = encodeRequest(request, request.id);
    }
  }

  /** Asks the worker to cancel what was sent; returns the timer after which its answer is not waited for. */
  #cancel(request: Request, reason: unknown): NodeJS.Timeout | undefined {
    if (!this.#inFlight.has(request.id)) {
      this.#settleUnsent(request, cancelledError(request.op, request.id, false, reason));
      return undefined;
    }
    this.#note('sent', 'cancel', request.id, request, 0);
    this.#connection.send(encodeMessage({ kind: 'cancel', id: request.id }));
    return setTimeout(() => this.#abandon(request, reason), this.#cancelGraceMs);
  }

  #settleUnsent(request: Request, error: WireError): void {
    const others = (requests: readonly Request[]) => requests.filter((other) => other !== request);
    this.#waiting = others(this.#waiting);
    this.#refused = others(this.#refused);
    request.release();
    this.#failEpoch(request.epoch, error);
    request.reject(error);
  }

  #abandon(request: Request, cause: unknown): void {
    request.abandoned = true;
    const error = cancelledError(request.op, request.id, undefined, cause);
    this.#failEpoch(request.epoch, error);
    request.reject(error);
  }

  #tellIdle(): void {
    if (this.#inFlight.size + this.#waiting.length + this.#refused.length > 0) return;
    for (const tell of this.#idleWaiters.splice(0)) tell();
  }

  #note(
    direction: MessageLogEntry['direction'],
    kind: MessageLogEntry['kind'],
    id: number,
    request: Request | undefined,
    bytes: number,
    error?: string,
  ): void {
    const epoch = request?.epoch.number ?? this.#epoch.number;
    this.#log({ direction, kind, id, op: request?.op, epoch, bytes, error });
  }
}
