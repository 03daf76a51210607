import { allOf } from '../common/all_of.js';
import { AmmdError } from '../common/errors.js';
import { ConfigError } from '../config/errors.js';
import { showPath } from '../config/files.js';
import type { RunConfig } from '../config/schema.js';
import type { RunEvent } from '../metrics/events.js';
import { journalRows, readJournal } from '../metrics/journal.js';
import { type EvaluationRow, evaluationRowSchema, stepRowSchema } from '../metrics/rows.js';
import type { TrialRow } from '../metrics/sweep_rows.js';
import { isOfTheMachine } from '../run/ending/machine_failure.js';
import { causeOf } from '../run/ending/stage_failure.js';
import { wasStopped } from '../run/ending/stage_stop.js';
import { RunError } from '../run/errors.js';
import { skippedText, updatesOf } from '../run/rows/skipped_updates.js';
import type { WorkerPool } from '../run/workers/pool.js';
import type { StageStore } from '../store/stage_store.js';
import { type StoredStage, storedStage } from '../store/stored_stage.js';
import { SweepError } from './errors.js';
import { finalValue, intermediateValues } from './objective.js';
import type { ResolvedSweep } from './resolve.js';
import type { Study, Trial } from './study.js';
import type { SweepFolder } from './sweep_folder.js';
import { Watch } from './watch.js';

export interface TrialContext {
  readonly resolved: ResolvedSweep;
  readonly folder: SweepFolder;
  readonly study: Study;
  readonly stages: Pick<StageStore, 'folder' | 'run' | 'dropCheckpoints'>;
  readonly pool: WorkerPool;
  readonly fingerprint: (source: string) => string;
  readonly emit: (event: RunEvent) => void;
  /** Aborting stops the trial with a checkpoint. */
  readonly signal: AbortSignal;
  /** Calls `work` when no other trial of the same student is under way. */
  readonly alone: <Result>(hash: string, work: () => Promise<Result>) => Promise<Result>;
}

/** A trial that ended, and the error that a failed one ended with. */
export interface TrialOutcome {
  readonly row: TrialRow;
  readonly error: AmmdError | null;
}

type Ending = Pick<TrialRow, 'state' | 'value' | 'reason'> & { readonly error?: AmmdError };

const failed = (error: AmmdError): Ending => ({ state: 'failed', value: null, reason: error.message, error });
const behind = (step: number): Ending => ({
  state: 'pruned',
  value: null,
  reason: `behind others at step ${step}`,
});

function evaluationsOf({ stages }: TrialContext, stage: StoredStage): readonly EvaluationRow[] {
  return readJournal(stages.folder(stage).stage(stage.name).evaluations, evaluationRowSchema);
}

/** Why a trained student is no outcome of its settings: most of its updates were skipped. */
function mostlySkipped({ stages }: TrialContext, stage: StoredStage): string | null {
  const { metrics } = stages.folder(stage).stage(stage.name);
  const updates = updatesOf(journalRows(metrics, stepRowSchema));
  return 2 * updates.skipped > updates.all ? skippedText(updates) : null;
}

/**
 * Runs one trial to its end; what was trained of it before a kill is not trained again.
 *
 * @throws RunError `interrupted` when the context's signal stopped it; errors that are not the trial's own.
 */
export async function runTrial(context: TrialContext, trial: Trial): Promise<TrialOutcome> {
  const { resolved, fingerprint } = context;
  let config: RunConfig;
  try {
    config = resolved.configureTrial(trial.parameters);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return outcome(context, trial, failed(error), null, 0);
  }
  const stage = storedStage(config, resolved.config.stage, { fingerprint });
  return context.alone(stage.hash, async () => {
    try {
      await trainParents(context, stage);
    } catch (error) {
      return outcome(context, trial, failed(ownFailure(context, trial, error)), stage, 0);
    }
    const started = performance.now();
    const ending = await train(context, trial, stage);
    // A failed trial keeps them, for who looks into it.
    if (ending.state === 'pruned') context.stages.dropCheckpoints(stage);
    return outcome(context, trial, ending, stage, (performance.now() - started) / 1000);
  });
}

/** Stages before come first, so that a trial's time is its own. */
async function trainParents({ stages, pool, emit, signal }: TrialContext, stage: StoredStage): Promise<void> {
  await allOf(stage.parents.map((parent) => stages.run(parent, { pool, emit, signal })));
}

async function train(context: TrialContext, trial: Trial, stage: StoredStage): Promise<Ending> {
  const { resolved, stages, study, pool } = context;
  const watch = new Watch(study, trial.number, resolved.objective);
  for (const row of evaluationsOf(context, stage)) watch.hear(row); // of before a kill
  await watch.settled();
  if (watch.behind !== null) return behind(watch.behind);
  const emit = (event: RunEvent) => {
    context.emit(event);
    watch.hear(event);
  };
  try {
    const signal = AbortSignal.any([context.signal, watch.signal]);
    await stages.run(stage, { pool, emit, signal });
    await watch.settled();
  } catch (error) {
    await watch.settled();
    if (watch.behind !== null && wasStopped(error) && !context.signal.aborted) return behind(watch.behind);
    return failed(ownFailure(context, trial, error));
  }
  const skipped = mostlySkipped(context, stage);
  if (skipped !== null) return { state: 'failed', value: null, reason: skipped };
  const value = finalValue(resolved.objective, evaluationsOf(context, stage));
  if (value === undefined || !Number.isFinite(value)) {
    const { dataset, metric } = resolved.objective;
    return { state: 'failed', value: null, reason: `${metric} on ${dataset} has no finite value` };
  }
  return { state: 'complete', value, reason: null };
}

/** The error where a trial has failed by it; throws it where the sweep has to end. */
function ownFailure({ signal, folder }: TrialContext, { number }: Trial, error: unknown): AmmdError {
  if (signal.aborted && wasStopped(error)) throw error;
  if (isOfTheMachine(error)) throw ofTheSweep(folder, number, error);
  if (!(error instanceof AmmdError)) throw error;
  return error;
}

/** Where the machine is at fault it is the sweep that goes on, not the run of the trial that met it. */
function ofTheSweep(folder: SweepFolder, number: number, error: unknown): SweepError {
  const message = error instanceof Error ? error.message : String(error);
  return new SweepError('sweep_failed', `trial ${number}: ${message}`, {
    cause: causeOf(error),
    hint: `when that is mended, go on with: ammd sweep ${showPath(folder.path)}${otherWorkers(error)}`,
  });
}

/** What else may help where a worker is at fault. */
const otherWorkers = (error: unknown): string =>
  error instanceof RunError && error.code === 'worker_unusable'
    ? ' (elsewhere with --devices; with other settings under `worker` it is another sweep)'
    : '';

function outcome(
  context: TrialContext,
  { number, parameters }: Trial,
  { error = undefined, ...ending }: Ending,
  stage: StoredStage | null,
  seconds: number,
): TrialOutcome {
  const { folder, resolved, stages } = context;
  const rows = stage === null ? [] : evaluationsOf(context, stage);
  return {
    row: {
      kind: 'trial',
      number,
      parameters,
      ...ending,
      intermediate: intermediateValues(resolved.objective, rows),
      seconds,
      hash: stage?.hash ?? null,
      folder: stage === null ? null : folder.relative(stages.folder(stage).path),
    },
    error: error ?? null,
  };
}
