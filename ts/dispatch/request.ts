import { setMaxListeners } from 'node:events';
import { byteCount, encodeMessage, type Frames } from '../wire/codec.js';
import { type RunningRequest, WireError } from '../wire/errors.js';
import {
  type ErrorInfo,
  OPERATIONS,
  type OperationArgs,
  type OperationName,
  type OperationResult,
  type ReplyMessage,
} from '../wire/protocol.gen.js';
import type { CallOptions, Reply } from './client.js';
import type { Load } from './credits.js';

/** Calls that fail together: after the first failure none of the later ones runs. */
export interface Epoch {
  number: number;
  failure: WireError | undefined;
}

/** A call on its way. `id` and `frames` change only when the worker was busy and the call is sent again. */
export interface Request {
  readonly op: OperationName;
  readonly args: OperationArgs<OperationName>;
  readonly options: CallOptions;
  readonly epoch: Epoch;
  readonly step: number | undefined;
  id: number;
  frames: Frames;
  sentAt: number;
  /** The caller has been told already; only the credits wait for the reply. */
  abandoned: boolean;
  /** @throws WireError when the result does not have the contract's shape. */
  readonly resolve: (
    request: Request,
    reply: ReplyMessage,
    tensors: readonly Uint8Array[],
    bytes: number,
  ) => void;
  readonly reject: (error: unknown) => void;
  /** Stops listening to the caller's signal. */
  release: () => void;
}

/** @throws WireError `cancelled`, or `invalid_argument` or `oversize`: then nothing was sent. */
export function newRequest(
  op: OperationName,
  args: OperationArgs<OperationName>,
  options: CallOptions,
  epoch: Epoch,
  id: number,
  resolve: Request['resolve'],
  reject: Request['reject'],
): Request {
  if (options.signal?.aborted) throw cancelledError(op, undefined, false, options.signal.reason);
  checkArgs(op, args);
  const frames = encodeRequest({ op, args, options, epoch }, id);
  const step = stepOf(args);
  return {
    op,
    args,
    options,
    epoch,
    step,
    id,
    frames,
    sentAt: 0,
    abandoned: false,
    resolve,
    reject,
    release: () => {},
  };
}

export function costOf(request: Request): Load {
  return {
    requests: 1,
    bytes: byteCount(request.frames),
    steps: request.op === 'end_step' ? 1 : 0,
  };
}

/** Writes a request under a new id and its epoch's present number. */
export function encodeRequest(
  request: Pick<Request, 'op' | 'args' | 'options' | 'epoch'>,
  id: number,
): Frames {
  const { deadlineMs, queueMs } = request.options;
  return encodeMessage({
    kind: 'request',
    id,
    epoch: request.epoch.number,
    op: request.op,
    args: request.args,
    ...(deadlineMs === undefined ? {} : { deadline_ms: deadlineMs }),
    ...(queueMs === undefined ? {} : { queue_ms: queueMs }),
  });
}

/** @throws WireError `invalid_argument` with the path of each field that is wrong. */
function checkArgs(op: OperationName, args: unknown): void {
  const parsed = OPERATIONS[op].args.safeParse(args);
  if (parsed.success) return;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'args'}: ${issue.message}`);
  throw new WireError('invalid_argument', `${op} was not sent: ${problems.join('; ')}.`, {
    op,
    applied: false,
  });
}

/** @throws WireError `malformed` when the result does not have the contract's shape. */
export function readReply<Name extends OperationName>(
  op: Name,
  message: ReplyMessage,
  sizes: Pick<Reply<Name>, 'bytesSent' | 'bytesReceived' | 'frames' | 'roundTripMs'>,
): Reply<Name> {
  const parsed = OPERATIONS[op].result.safeParse(message.result);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      (issue) => `${issue.path.join('.') || 'result'}: ${issue.message}`,
    );
    throw new WireError('malformed', `the result of ${op} is wrong: ${problems.join('; ')}.`, { op });
  }
  return {
    op,
    id: message.id,
    // The schema looked up by name checks exactly this type; the compiler cannot follow the lookup.
    result: parsed.data as OperationResult<Name>,
    runMs: message.run_ms,
    idleMs: message.idle_ms,
    ...sizes,
  };
}

/** The optimizer step a request belongs to: its own field, or the scope of a handle it names. */
export function stepOf(args: object): number | undefined {
  for (const [key, value] of Object.entries(args)) {
    if (key === 'step' && typeof value === 'number') return value;
    const scope = typeof value === 'string' ? /^step:(\d+)\//.exec(value)?.[1] : undefined;
    if (scope !== undefined) return Number(scope);
  }
  return undefined;
}

export function describe({ op, id, step }: Pick<Request, 'op' | 'id' | 'step'>): RunningRequest {
  return step === undefined ? { op, id } : { op, id, step };
}

/** The worker's error as one of ours. */
export function errorOf({ op, id }: Request, info: ErrorInfo): WireError {
  return new WireError(info.code, `${op} failed: ${info.message}`, {
    op,
    id,
    applied: info.applied,
    ...(info.aborted_by === undefined ? {} : { abortedBy: info.aborted_by }),
    ...(info.detail === undefined ? {} : { detail: info.detail }),
  });
}

/** A call that was not run because of an earlier failure, which is the error's cause. */
export function abortedError(op: OperationName, id: number | undefined, first: WireError): WireError {
  return new WireError('aborted', `${op} was not run, because of an earlier failure: ${first.message}`, {
    op,
    applied: false,
    cause: first,
    ...(id === undefined ? {} : { id }),
    ...(first.id === undefined ? {} : { abortedBy: first.id }),
  });
}

/** @param applied undefined when the worker has not said. */
export function cancelledError(
  op: OperationName,
  id: number | undefined,
  applied: boolean | undefined,
  cause: unknown,
): WireError {
  const unknown = applied === undefined ? ' and the worker has not said whether it was applied' : '';
  return new WireError('cancelled', `${op} was cancelled${unknown}.`, {
    op,
    cause,
    ...(id === undefined ? {} : { id }),
    ...(applied === undefined ? {} : { applied }),
  });
}

/** A worker with an empty queue would not take it. */
export function busyError({ op, id }: Request): WireError {
  return new WireError('busy', `${op} failed: the worker has no room for it, with nothing else queued.`, {
    op,
    id,
    applied: false,
  });
}

/** Calls `cancel` when the caller's signal aborts before the request is released. */
export function watchSignal(request: Request, cancel: (reason: unknown) => NodeJS.Timeout | undefined): void {
  const signal = request.options.signal;
  if (signal === undefined) return;
  let timer: NodeJS.Timeout | undefined;
  const onAbort = () => {
    timer = cancel(signal.reason);
  };
  setMaxListeners(0, signal); // one listener for each call in flight is no leak
  signal.addEventListener('abort', onAbort, { once: true });
  request.release = () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  };
}
