import type { AmmdError } from '../common/errors.js';
import type { TrialRow } from '../metrics/sweep_rows.js';
import { wasStopped } from '../run/ending/stage_stop.js';
import { SweepError } from './errors.js';
import type { SweepEvent } from './events.js';
import { trialsWanted } from './space.js';
import type { Trial } from './study.js';
import { runTrial, type TrialContext } from './trial.js';
import type { TrialLog } from './trial_log.js';

/** What the trials of a sweep share. */
export interface TrialsContext extends Omit<TrialContext, 'emit' | 'alone'> {
  readonly emit: (event: SweepEvent) => void;
  /** Trials at a time. */
  readonly jobs: number;
  readonly log: TrialLog;
  /** Called when the log has another trial. */
  readonly sumUp: () => Promise<void>;
}

interface Next extends Trial {
  readonly again: boolean;
}

/** So many failures at the beginning, and no success, say that the sweep itself is wrong. */
const FIRST_FAILURES = 3;

/**
 * Runs what is left of the trials, `jobs` at a time.
 *
 * @throws the first error that is not a trial's own, when all lanes have stopped; SweepError `sweep_failed`.
 */
export async function runTrials(context: TrialsContext): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const alone = oneAtATime();
  const next = await trialsOf(context);
  const lane = async () => {
    while (!signal.aborted) {
      const trial = await next();
      if (trial === null) return;
      await runAndRecord({ ...context, signal }, alone, trial);
    }
  };
  const guarded = async () => {
    try {
      await lane();
    } catch (error) {
      stop.abort();
      throw error;
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: context.jobs }, guarded));
  const reasons = lanes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
  );
  const errors = reasons.filter((reason) => !wasStopped(reason));
  if (errors.length > 0) throw errors[0];
}

/** What to run next, null when there is nothing: trials that were running, then new ones. */
async function trialsOf({ study, log, resolved }: TrialsContext): Promise<() => Promise<Next | null>> {
  const again: Trial[] = [];
  for (const trial of study.running) {
    const row = log.rows.find(({ number }) => number === trial.number);
    if (row === undefined) again.push(trial);
    else await study.tell(row); // killed between the two
  }
  let begun = study.ended.length + study.running.length;
  return async () => {
    const left = again.shift();
    if (left !== undefined) return { ...left, again: true };
    if (begun >= trialsWanted(resolved.config)) return null;
    begun += 1;
    return { ...(await study.ask()), again: false };
  };
}

/** Trials of one student wait for each other: it is trained once, and a trial that falls behind stops its own run only. */
function oneAtATime(): TrialContext['alone'] {
  const last = new Map<string, Promise<unknown>>();
  return (hash, work) => {
    const before = last.get(hash) ?? Promise.resolve();
    const done = before.then(work);
    last.set(
      hash,
      done.catch(() => {}),
    );
    return done;
  };
}

async function runAndRecord(
  context: TrialsContext,
  alone: TrialContext['alone'],
  { number, parameters, again }: Next,
): Promise<void> {
  const { emit, log, study, sumUp } = context;
  emit({ kind: 'trial_started', number, parameters, again });
  const { row, error } = await runTrial(
    { ...context, alone, emit: (event) => emit({ kind: 'trial_event', number, event }) },
    { number, parameters },
  );
  // The row comes first: a kill in between is mended from it.
  log.add(row);
  await study.tell(row);
  await sumUp();
  emit(row);
  checkBeginning(log.rows, error);
}

function checkBeginning(rows: readonly TrialRow[], error: AmmdError | null): void {
  const last = rows.at(-1);
  if (rows.length < FIRST_FAILURES || last === undefined || rows.some(({ state }) => state !== 'failed'))
    return;
  throw new SweepError(
    error === null ? 'sweep_empty' : 'sweep_failed',
    `the first ${rows.length} trials failed, the last: ${last.reason}`,
    {
      ...(error === null ? {} : { cause: error }),
      hint: 'when that is mended, the same sweep goes on with the next trial; or start another',
    },
  );
}
