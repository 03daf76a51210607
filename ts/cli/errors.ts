import { AmmdError, type ErrorOptionsWithHint } from '../common/errors.js';

export type CliErrorCode = 'usage' | 'check_failed';

/** The command line is wrong, or what a command was asked to check is. */
export class CliError extends AmmdError {
  declare readonly code: CliErrorCode;

  constructor(code: CliErrorCode, message: string, options: ErrorOptionsWithHint = {}) {
    super(code, message, options);
  }
}
