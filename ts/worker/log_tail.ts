import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';

const TAIL_BYTES = 8192;
const TAIL_LINES = 20;

/** Size in bytes; 0 when there is no such file yet. */
export function logSize(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/**
 * The last lines of a log, for an error message; empty when there is none.
 *
 * @param begin offset in bytes at which the lines of this process begin: a resumed run appends to its log.
 */
export function logTail(file: string, begin = 0): string {
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch {
    return ''; // no log is no reason to hide the error it was wanted for
  }
  try {
    const buffer = Buffer.alloc(TAIL_BYTES);
    const start = Math.max(begin, fstatSync(handle).size - TAIL_BYTES);
    const text = buffer.subarray(0, readSync(handle, buffer, 0, TAIL_BYTES, start)).toString();
    return text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
  } finally {
    closeSync(handle);
  }
}
