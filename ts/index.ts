/** What scripts use: resolve a configuration, run or resume it with its events, and build the report. */
export { AmmdError } from './common/errors.js';
export { ConfigError } from './config/errors.js';
export { configToYaml, type ResolvedConfig, resolveConfig } from './config/resolve.js';
export type { RunConfig } from './config/schema.js';
export type { RunEvent } from './metrics/events.js';
export type { EvaluationRow, SampleRow, StepRow } from './metrics/rows.js';
export { buildReport, type Report } from './report/build.js';
export { RunError } from './run/errors.js';
export { type RunOptions, resumeRun, startRun } from './run/run.js';
export { RunFolder } from './run/run_folder.js';
export { WireError, WorkerFailure } from './wire/errors.js';
