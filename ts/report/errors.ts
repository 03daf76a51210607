import { AmmdError } from '../common/errors.js';

/** A run folder that cannot be reported on: code `report_no_run`, or `report_file` for one damaged file. */
export class ReportError extends AmmdError {}
