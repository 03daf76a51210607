import { AmmdError, type ErrorOptionsWithHint } from '../common/errors.js';

export type ReproduceErrorCode = 'reproduction_failed' | 'reproduction_other';

/** A reproduction could not be finished, or its folder is another's. */
export class ReproduceError extends AmmdError {
  constructor(
    readonly code: ReproduceErrorCode,
    message: string,
    options: ErrorOptionsWithHint = {},
  ) {
    super(message, options);
  }
}
