import { AmmdError, type ErrorOptionsWithHint } from '../common/errors.js';

export type RunErrorCode =
  | 'run_exists'
  | 'run_locked'
  | 'run_not_found'
  | 'run_finished'
  | 'manifest_invalid'
  | 'model_not_found'
  | 'config_changed'
  | 'checkpoint_invalid'
  | 'answers_missing'
  | 'package_missing'
  | 'python_missing'
  | 'stage_failed'
  | 'worker_unusable'
  | 'interrupted'
  | 'time_over';

/** A run could not start, go on or end as asked. */
export class RunError extends AmmdError {
  constructor(
    readonly code: RunErrorCode,
    message: string,
    options: ErrorOptionsWithHint = {},
  ) {
    super(message, options);
  }
}
