import { Packr, Unpackr } from 'msgpackr';
import { WireError } from './errors.js';
import { type ControllerMessage, LIMITS, type WorkerMessage, workerMessageSchema } from './protocol.gen.js';
import { scanBody } from './scan.js';

// Records are msgpackr's own extension: no other library reads them.
const packer = new Packr({ useRecords: false, variableMapSize: true });
const unpacker = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/** A message as it goes over the wire: the body, then the tensor frames. */
export type Frames = readonly [body: Uint8Array, ...tensors: readonly Uint8Array[]];

export interface Received {
  readonly message: WorkerMessage;
  /** Views of the received memory; copy what is kept. */
  readonly tensors: readonly Uint8Array[];
  /** Body and frames. */
  readonly bytes: number;
}

export function byteCount(frames: readonly Uint8Array[]): number {
  return frames.reduce((sum, frame) => sum + frame.byteLength, 0);
}

/** @throws WireError `oversize`: the body, a frame or the number of frames is over its limit. */
export function checkSizes(body: Uint8Array, tensors: readonly Uint8Array[]): void {
  const over = (what: string, size: number, limit: number) =>
    new WireError('oversize', `${what} (${size}) is over the limit of ${limit}.`, { applied: false });
  if (body.byteLength > LIMITS.maxBodyBytes) {
    throw over('The body in bytes', body.byteLength, LIMITS.maxBodyBytes);
  }
  if (tensors.length > LIMITS.maxFrames) {
    throw over('The number of tensor frames', tensors.length, LIMITS.maxFrames);
  }
  const largest = Math.max(0, ...tensors.map((tensor) => tensor.byteLength));
  if (largest > LIMITS.maxFrameBytes) throw over('A tensor frame in bytes', largest, LIMITS.maxFrameBytes);
}

function isPlainObject(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function notSendable(path: string, what: string): WireError {
  return new WireError('invalid_argument', `${path || 'The message'} ${what}.`, { applied: false });
}

/** A number as msgpackr must get it: it writes integers of 2^32 and more as floats, unless they are bigints. */
function packableNumber(value: number, path: string): number | bigint {
  if (!Number.isInteger(value) || (value >= -(2 ** 31) && value < 2 ** 32)) return value;
  if (Number.isSafeInteger(value)) return BigInt(value);
  throw notSendable(path, `is ${value}: whole numbers of 2^53 or more are not exact`);
}

/** Copies a value into what msgpackr writes as the contract wants it; refuses what has no form on the wire. */
function packable(value: unknown, path: string, depth: number): unknown {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return packableNumber(value, path);
  if (typeof value !== 'object') throw notSendable(path, `is ${typeof value}, which cannot be sent`);
  if (depth >= LIMITS.maxDepth) throw notSendable(path, `nests deeper than ${LIMITS.maxDepth}`);
  if (Array.isArray(value)) return value.map((item, index) => packable(item, `${path}[${index}]`, depth + 1));
  if (!isPlainObject(value)) {
    throw notSendable(path, `is a ${value.constructor.name}; send plain values, and tensors as frames`);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      packable(item, path === '' ? key : `${path}.${key}`, depth + 1),
    ]),
  );
}

/**
 * @throws WireError `invalid_argument`: a value has no form on the wire (`undefined`, a typed array, a whole number
 * of 2^53 or more); the message names its path. `oversize`: over the contract's limits. No operation takes tensors.
 */
export function encodeMessage(message: ControllerMessage): Frames {
  const body = packer.pack(packable(message, '', 0));
  checkSizes(body, []);
  return [body];
}

/** @throws WireError `malformed`: no MessagePack value that the contract allows. */
export function decodeBody(body: Uint8Array): unknown {
  scanBody(body);
  return unpacker.unpack(body);
}

/** @throws WireError `oversize` or `malformed`. */
export function decodeMessage([body, ...tensors]: Frames): Received {
  checkSizes(body, tensors);
  const parsed = workerMessageSchema.safeParse(decodeBody(body));
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      (issue) => `${issue.path.join('.') || 'message'}: ${issue.message}`,
    );
    throw new WireError(
      'malformed',
      `The message does not have the contract's shape: ${problems.join('; ')}.`,
    );
  }
  return { message: parsed.data, tensors, bytes: byteCount([body, ...tensors]) };
}
