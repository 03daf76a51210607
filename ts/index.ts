/**
 * What scripts use. A configuration is resolved (`resolveConfig`), tried (`check`), run or resumed with its events as an
 * async iterator (`run`, `resume`), and reported on (`buildReport`, `reportOn`); `resolveSweep`, `sweep` and `resumeSweep`
 * do the same with a sweep. Importing has no effects; a run starts a worker with the Python that `npx ammd setup` has
 * set up.
 */

export { type NewRunOptions, type ResumeOptions, type RunEvents, resume, run } from './api/run.js';
export {
  type NewSweepOptions,
  type ResumeSweepOptions,
  resumeSweep,
  type SweepEvents,
  sweep,
} from './api/sweep.js';
export { AmmdError } from './common/errors.js';
export { ConfigError, type ConfigIssue } from './config/errors.js';
export { configToYaml, type ResolvedConfig, resolveConfig } from './config/resolve.js';
export type { RunConfig } from './config/schema.js';
export type {
  CheckpointWritten,
  Note,
  Phase,
  PhaseChanged,
  RunEvent,
  RunFinished,
  RunStarted,
  StageFinished,
  StageStarted,
  StageSummary,
} from './metrics/events.js';
export { JournalError, type JournalErrorCode } from './metrics/journal.js';
export type { EvaluationRow, SampleRow, StepRow } from './metrics/rows.js';
export type { SweepSummary, TrialRow } from './metrics/sweep_rows.js';
export {
  buildReport,
  type Report,
  type ReportOptions,
  reportOn,
  type WrittenReport,
} from './report/build.js';
export { ReportError, type ReportErrorCode } from './report/errors.js';
export { checkRun as check, type RunCheck } from './run/check_run.js';
export type { StagePreflight, TriedStage, UntriedStage } from './run/checks/preflight.js';
export { RunError, type RunErrorCode } from './run/errors.js';
export { RunFolder } from './run/folder/run_folder.js';
export { type RunOptions, resumeRun, startRun } from './run/run.js';
export { SweepError, type SweepErrorCode } from './sweep/errors.js';
export type { SweepEvent } from './sweep/events.js';
export { type ResolvedSweep, resolveSweep } from './sweep/resolve.js';
export type { SweepResult } from './sweep/sweep.js';
export { SweepFolder } from './sweep/sweep_folder.js';
export { WireError, WorkerFailure, type WorkerFailureCode } from './wire/errors.js';
