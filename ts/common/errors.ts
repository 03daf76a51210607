import { types } from 'node:util';

export interface ErrorOptionsWithHint {
  readonly cause?: unknown;
  /** The remedy, as one sentence. Printed under the message. */
  readonly hint?: string;
}

/** Root of every error this package throws on purpose. Anything else is a defect. */
export abstract class AmmdError extends Error {
  /** Stable and documented, where `message` is for people. Each class names its own codes. */
  abstract readonly code: string;
  readonly hint: string | undefined;

  constructor(message: string, options: ErrorOptionsWithHint = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.hint = options.hint;
  }
}

/** The error of a full disk, or of a quota that is used up. */
export function isDiskFull(error: unknown): boolean {
  const code = systemCodeOf(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/**
 * Code of a failed call of the operating system (ENOENT, EEXIST, ENOSPC, …); undefined for any other error. Not by
 * `instanceof`: Node's own errors may come from another realm than this file's.
 */
export function systemCodeOf(error: unknown): string | undefined {
  if (!types.isNativeError(error) || !('syscall' in error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The error with the file it is of, which calls by descriptor, as writing is, do not say. */
export function withPath(error: unknown, file: string): unknown {
  if (systemCodeOf(error) === undefined || !types.isNativeError(error) || 'path' in error) return error;
  error.message += ` '${file}'`;
  return Object.assign(error, { path: file });
}
