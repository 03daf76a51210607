import { showPath } from '../../config/files.js';
import { WireError } from '../../wire/errors.js';
import { RunError } from '../errors.js';
import type { RunFolder } from '../folder/run_folder.js';
import { TimeOver } from './wall_time.js';

export interface StopContext {
  readonly run: RunFolder;
  readonly signal: AbortSignal | undefined;
}

/** How a stage ends that its signal has stopped: somebody asked, or its time is over. */
export function stopped({ run, signal }: StopContext, stage: string, where: string): RunError {
  const hint = `continue with: ammd resume ${showPath(run.path)}`;
  const why: unknown = signal?.reason;
  return why instanceof TimeOver
    ? new RunError('time_over', `stopped after ${why.hours} h in stage ${stage}, ${where}`, { hint })
    : new RunError('interrupted', `stopped in stage ${stage}, ${where}`, { hint });
}

/** Cancelled because of the signal, or not run because of that. */
export function isCancelled(error: unknown, signal: AbortSignal | undefined): boolean {
  if (!signal?.aborted || !(error instanceof WireError)) return false;
  return error.code === 'cancelled' || error.code === 'aborted';
}

/**
 * What is done before a stage's first step.
 *
 * @throws RunError `interrupted` or `time_over` when the signal stopped it.
 */
export async function prepared<Outcome>(
  context: StopContext,
  stage: string,
  where: string,
  work: Promise<Outcome>,
): Promise<Outcome> {
  try {
    return await work;
  } catch (error) {
    throw isCancelled(error, context.signal) ? stopped(context, stage, where) : error;
  }
}

/** Whether a run was stopped, and neither failed nor refused: it can be gone on with. */
export const wasStopped = (error: unknown): boolean =>
  error instanceof RunError && (error.code === 'interrupted' || error.code === 'time_over');
