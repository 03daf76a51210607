import { AmmdError, type ErrorOptionsWithHint } from '../common/errors.js';

export type CliErrorCode = 'usage' | 'check_failed';

/** The command line is wrong, or what a command was asked to check is. */
export class CliError extends AmmdError {
  declare readonly code: CliErrorCode;

  constructor(code: CliErrorCode, message: string, options: ErrorOptionsWithHint = {}) {
    super(code, message, options);
  }
}

/** A failed call of the operating system: a full disk, a missing permission. Nothing this program could mend. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'errno' in error;
}
