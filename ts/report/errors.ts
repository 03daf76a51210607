import { AmmdError, type ErrorOptionsWithHint } from '../common/errors.js';

export type ReportErrorCode =
  | 'report_no_run'
  /** Folders of several kinds. */
  | 'report_mixed'
  /** There is no writing to the folder that it should go to. */
  | 'report_out'
  /** Images cannot be drawn on this machine. */
  | 'report_figures'
  /** A file is damaged. */
  | 'report_file';

/** What was given cannot be reported on, or the report not be written. */
export class ReportError extends AmmdError {
  constructor(
    readonly code: ReportErrorCode,
    message: string,
    options: ErrorOptionsWithHint = {},
  ) {
    super(message, options);
  }
}
