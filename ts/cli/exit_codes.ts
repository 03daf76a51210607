import { AmmdError, systemCodeOf } from '../common/errors.js';
import type { FolderError } from '../common/make_folder.js';
import type { ConfigError } from '../config/errors.js';
import type { JournalError } from '../metrics/journal.js';
import type { TableFileError } from '../metrics/table_file.js';
import type { ReportError } from '../report/errors.js';
import type { ReproduceError } from '../reproduce/errors.js';
import type { RunError } from '../run/errors.js';
import type { StateError } from '../schedule/state.js';
import type { SweepError } from '../sweep/errors.js';
import type { EndpointError, WireError, WorkerFailure } from '../wire/errors.js';
import type { CliError } from './errors.js';

/** Exit status of every command; documented in the README and in `ammd --help`. */
export const EXIT = {
  ok: 0,
  /** A defect of this program; please report it. */
  defect: 1,
  /** The command line, a config or a run folder is not what the command needs. */
  usage: 2,
  /** The worker died, hung or refused; a run can be resumed. */
  worker: 3,
  /** A model, dataset, checkpoint or other file could not be read or written. */
  input: 4,
  /** A preflight check or `doctor` found a problem, or the environment lacks something. */
  check: 5,
  /** Stopped because the wall time that it may take is over; what has been trained is in a checkpoint. */
  time: 6,
  /** Stopped by a signal; what has been trained is in a checkpoint. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The classes of errors; a code of one of them without a status does not compile. */
type KnownError =
  | CliError
  | ConfigError
  | EndpointError
  | FolderError
  | JournalError
  | ReportError
  | ReproduceError
  | RunError
  | StateError
  | SweepError
  | TableFileError
  | WireError
  | WorkerFailure;

type KnownCode = KnownError['code'];

/** Status by error code; `cause` where the error only says what its cause kept from happening. */
export const EXIT_OF_CODE: Readonly<Record<KnownCode, ExitCode | 'cause'>> = {
  usage: EXIT.usage,
  config: EXIT.usage,
  run_exists: EXIT.usage,
  run_locked: EXIT.usage,
  run_not_found: EXIT.usage,
  run_finished: EXIT.usage,
  model_not_found: EXIT.usage,
  config_changed: EXIT.usage,
  report_no_run: EXIT.usage,
  reproduction_other: EXIT.usage,
  sweep_exists: EXIT.usage,
  sweep_not_found: EXIT.usage,
  sweep_changed: EXIT.usage,
  report_mixed: EXIT.usage,
  report_out: EXIT.usage,
  // A figure that the contract or the model does not allow, for example more tokens than it has positions.
  invalid_argument: EXIT.usage,
  over_budget: EXIT.usage,

  data_error: EXIT.input,
  answers_missing: EXIT.input,
  model_error: EXIT.input,
  incompatible_vocabulary: EXIT.input,
  unsupported: EXIT.input,
  checkpoint_error: EXIT.input,
  checkpoint_invalid: EXIT.input,
  manifest_invalid: EXIT.input,
  folder_not_made: EXIT.input,
  state: EXIT.input,
  journal_row: EXIT.input,
  journal_offset: EXIT.input,
  sweep_files: EXIT.input,
  report_file: EXIT.input,
  table_file: EXIT.input,

  check_failed: EXIT.check,
  sweep_empty: EXIT.check,
  endpoint: EXIT.check,
  package_missing: EXIT.check,
  // No font, or no renderer of images for this machine.
  report_figures: EXIT.check,
  python_missing: EXIT.check,

  interrupted: EXIT.interrupted,
  time_over: EXIT.time,

  worker_exited: EXIT.worker,
  worker_start: EXIT.worker,
  worker_refused: EXIT.worker,
  worker_silent: EXIT.worker,
  worker_stalled: EXIT.worker,
  worker_lost: EXIT.worker,
  worker_misbehaved: EXIT.worker,
  worker_closed: EXIT.worker,
  version_mismatch: EXIT.worker,
  unauthorized: EXIT.worker,
  busy: EXIT.worker,
  cancelled: EXIT.worker,
  deadline: EXIT.worker,
  queue_timeout: EXIT.worker,
  out_of_memory: EXIT.worker,

  stage_failed: 'cause',
  worker_unusable: 'cause',
  reproduction_failed: 'cause',
  sweep_failed: 'cause',
  aborted: 'cause',

  // The two sides disagree about what they do: only a defect does that.
  malformed: EXIT.defect,
  unknown_operation: EXIT.defect,
  oversize: EXIT.defect,
  stale_epoch: EXIT.defect,
  duplicate: EXIT.defect,
  unknown_handle: EXIT.defect,
  handle_exists: EXIT.defect,
  not_loaded: EXIT.defect,
  internal: EXIT.defect,
};

const isKnown = (code: string): code is KnownCode => Object.hasOwn(EXIT_OF_CODE, code);

/** Errors of ours end with their documented status; what nobody threw on purpose is a defect. */
export function exitCodeOf(error: unknown): ExitCode {
  // A full disk, a missing permission: nothing this program could mend.
  if (systemCodeOf(error) !== undefined) return EXIT.input;
  if (!(error instanceof AmmdError) || !isKnown(error.code)) return EXIT.defect;
  const status = EXIT_OF_CODE[error.code];
  return status === 'cause' ? exitCodeOf(error.cause) : status;
}
