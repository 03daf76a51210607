import { reportOn } from '../report/build.js';
import type { SweepEvent } from '../sweep/events.js';
import type { ResolvedSweep } from '../sweep/resolve.js';
import { resumeSweep as goOn, runSweep, type SweepOptions, type SweepResult } from '../sweep/sweep.js';
import { eventsOf } from './event_stream.js';

type Workers = Pick<SweepOptions, 'devices' | 'jobs' | 'python' | 'signal'>;

export interface NewSweepOptions extends Workers {
  /** Folder to make; by default `runs/NAME-TIME` in the working directory. */
  readonly out?: string;
}

export interface ResumeSweepOptions extends Workers {
  /** Trials in all, in place of how many there were to be. */
  readonly trials?: number;
}

/** The events of a sweep in order, a finished trial as its row; its value is the whole. */
export type SweepEvents = AsyncGenerator<SweepEvent, SweepResult, void>;

const follow = (
  { signal, ...options }: Workers,
  begin: (options: SweepOptions) => Promise<SweepResult>,
): SweepEvents =>
  eventsOf<SweepEvent, SweepResult>(async (emit, stop) => {
    const result = await begin({ ...options, emit, signal: stop });
    reportOn([result.folder.path]);
    return result;
  }, signal);

/**
 * Runs a sweep, writes its report, and tells what happens, as `run` does with a run. Leaving the loop early stops the
 * running trials with a checkpoint each; `resumeSweep` goes on with them.
 *
 * @throws from the iterator, what `runSweep` throws: SweepError, RunError, WorkerFailure.
 */
export function sweep(resolved: ResolvedSweep, { out, ...options }: NewSweepOptions = {}): SweepEvents {
  return follow(options, (settings) => runSweep(resolved, out, settings));
}

/**
 * Goes on with a sweep that was stopped or killed, or adds trials to one that is done; otherwise as `sweep`.
 *
 * @param folder the sweep's folder.
 * @throws from the iterator, SweepError `sweep_not_found` or `sweep_changed`, RunError `run_locked` among others.
 */
export function resumeSweep(folder: string, { trials, ...options }: ResumeSweepOptions = {}): SweepEvents {
  return follow(options, (settings) => goOn(folder, { ...settings, trials }));
}
