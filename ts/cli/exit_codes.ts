import { AmmdError } from '../common/errors.js';

/** Exit status of every command; documented in the README and in `ammd --help`. */
export const EXIT = {
  ok: 0,
  /** A defect of this program; please report it. */
  defect: 1,
  /** The command line, a config or an input file is wrong; nothing was started. */
  usage: 2,
  /** The worker died, hung or refused; the run can be resumed. */
  worker: 3,
  /** A model, dataset or checkpoint could not be read. */
  input: 4,
  /** A preflight check or `doctor` found a problem. */
  check: 5,
  /** Stopped by a signal after a clean checkpoint. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const BY_CODE: Readonly<Record<string, ExitCode>> = {
  config: EXIT.usage,
  usage: EXIT.usage,
  run_exists: EXIT.usage,
  run_locked: EXIT.usage,
  run_not_found: EXIT.usage,
  run_finished: EXIT.usage,
  environment: EXIT.check,
  check_failed: EXIT.check,
  interrupted: EXIT.interrupted,
  data_error: EXIT.input,
  model_error: EXIT.input,
  incompatible_vocabulary: EXIT.input,
  unsupported: EXIT.input,
  checkpoint_error: EXIT.input,
  checkpoint_invalid: EXIT.input,
  journal_row: EXIT.input,
  journal_offset: EXIT.input,
  report_run: EXIT.usage,
  report_file: EXIT.input,
  state: EXIT.input,
};

/** Errors of ours end with their documented status; an error of the wire that is no input error is the worker's. */
export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof AmmdError)) return EXIT.defect;
  const own = BY_CODE[error.code];
  if (own !== undefined) return own;
  if (error.cause instanceof AmmdError) return exitCodeOf(error.cause);
  return error.code === 'internal' ? EXIT.defect : EXIT.worker;
}
