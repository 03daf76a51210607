import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const TAIL_BYTES = 8192;
const TAIL_LINES = 20;

/** The last lines of a log, for an error message; empty when there is none. */
export function logTail(file: string): string {
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch {
    return ''; // no log is no reason to hide the error it was wanted for
  }
  try {
    const buffer = Buffer.alloc(TAIL_BYTES);
    const start = Math.max(0, fstatSync(handle).size - TAIL_BYTES);
    const text = buffer.subarray(0, readSync(handle, buffer, 0, TAIL_BYTES, start)).toString();
    return text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
  } finally {
    closeSync(handle);
  }
}
