import type { ResolvedConfig } from '../config/resolve.js';
import type { RunEvent } from '../metrics/events.js';
import { buildReport } from '../report/build.js';
import type { RunFolder } from '../run/folder/run_folder.js';
import { type RunOptions, resumeRun, startRun } from '../run/run.js';
import { eventsOf } from './event_stream.js';

export interface ResumeOptions {
  /** Aborting stops the run after the running step, with a checkpoint; the iterator then throws RunError `interrupted`. */
  readonly signal?: AbortSignal;
  /** Longest wall time in hours, in place of the configuration's `max_hours`; then RunError `time_over`. */
  readonly maxHours?: number;
  /** Python with the worker's packages; by default that of the set-up (`npx ammd setup`). */
  readonly python?: string;
}

export interface NewRunOptions extends ResumeOptions {
  /** Run folder to make; by default `runs/NAME-TIME` in the working directory. */
  readonly out?: string;
}

/** The events of a run in order; its value, where a script asks for it, is the run's folder. */
export type RunEvents = AsyncGenerator<RunEvent, RunFolder, void>;

const writeReport = ({ path }: RunFolder): void => void buildReport(path);

const follow = (
  { signal, ...options }: ResumeOptions,
  begin: (options: RunOptions) => Promise<RunFolder>,
): RunEvents =>
  eventsOf((emit, stop) => begin({ ...options, emit, signal: stop, report: writeReport }), signal);

/**
 * Runs a configuration and tells what happens: `for await (const event of run(resolved)) …`. Nothing happens before the
 * first event is asked for. The run never waits for its reader: events that have not been read are kept in memory (about
 * a kilobyte a step), none is lost. Leaving the loop early stops the run after its running step, with a checkpoint that
 * `resume` goes on from; the loop ends when that is written.
 *
 * @throws from the iterator, after the events before it: RunError, WireError or WorkerFailure.
 */
export function run(resolved: ResolvedConfig, { out, ...options }: NewRunOptions = {}): RunEvents {
  return follow(options, (settings) => startRun(resolved, out, settings));
}

/**
 * Continues a run after its last checkpoint; otherwise as `run`.
 *
 * @param folder the run's folder.
 * @throws from the iterator, RunError `run_not_found`, `run_locked`, `run_finished` or `config_changed` among others.
 */
export function resume(folder: string, options: ResumeOptions = {}): RunEvents {
  return follow(options, (settings) => resumeRun(folder, settings));
}
