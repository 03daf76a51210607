import { AmmdError, type ErrorOptionsWithHint } from '../common/errors.js';

export type SweepErrorCode =
  | 'sweep_exists'
  | 'sweep_not_found'
  | 'sweep_changed'
  | 'sweep_files'
  /** All trials at the beginning failed, or the machine kept one from going on; the cause says why. */
  | 'sweep_failed'
  /** Trials are done and none was completed, though nothing went wrong that an error would tell. */
  | 'sweep_empty';

/** A sweep cannot begin, go on or end as asked. */
export class SweepError extends AmmdError {
  constructor(
    readonly code: SweepErrorCode,
    message: string,
    options: ErrorOptionsWithHint = {},
  ) {
    super(message, options);
  }
}
