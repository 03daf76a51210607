import { AmmdError, type ErrorOptionsWithHint } from '../common/errors.js';

export type CliErrorCode = 'usage' | 'check_failed';

/** The command line is wrong, or what a command was asked to check is. */
export class CliError extends AmmdError {
  constructor(
    readonly code: CliErrorCode,
    message: string,
    options: ErrorOptionsWithHint = {},
  ) {
    super(message, options);
  }
}
