import { statSync } from 'node:fs';
import path from 'node:path';
import { writeJsonAtomic } from '../../common/atomic_file.js';
import type { RunConfig } from '../../config/schema.js';
import type { WorkerClient } from '../../dispatch/client.js';
import type { RunEvent } from '../../metrics/events.js';
import type { StepRow } from '../../metrics/rows.js';
import { withOrders, withRows } from '../../plan/stage.js';
import type { SizedStagePlan, StagePlan } from '../../plan/types.js';
import { observe } from '../../schedule/adaptive.js';
import { INITIAL_STATE, restoreState } from '../../schedule/state.js';
import type { StageState } from '../../schedule/types.js';
import { WireError } from '../../wire/errors.js';
import { isCancelled, prepared, stopped } from '../ending/stage_stop.js';
import type { RunFolder, StageFolder } from '../folder/run_folder.js';
import type { HeldTeacher } from '../loaded/held_teacher.js';
import { type LoadedStage, notesOn, parametersOf, rowsOf } from '../loaded/loaded_stage.js';
import { memoryWarning } from '../memory/forecast.js';
import { halvingNote } from '../memory/halving_note.js';
import { skippedText } from '../rows/skipped_updates.js';
import { NO_ROWS, StageJournals } from '../rows/stage_journals.js';
import {
  type Best,
  checkpointOf,
  listCheckpoints,
  pruneCheckpoints,
  readCheckpoint,
  writeCheckpoint,
} from '../saved/checkpoints.js';
import { isDamage, restore, restoreNewest } from '../saved/restore.js';
import { loadStage } from '../workers/load_stage.js';
import {
  type EvaluationContext,
  evaluateStage,
  extentAtStart,
  isBetter,
  validationFigures,
} from './evaluation.js';
import { rowOrders } from './row_order.js';
import { type Barrier, trainLoop } from './train_loop.js';

export interface StageContext {
  readonly client: WorkerClient;
  readonly held: HeldTeacher;
  readonly config: RunConfig;
  readonly configHash: string;
  readonly run: RunFolder;
  readonly emit: (event: RunEvent) => void;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** Aborting ends the stage after the running step, with a checkpoint. */
  readonly signal: AbortSignal | undefined;
  /** Notes on what was loaded that the run has told: each is told by the first stage that has it. */
  readonly told: Set<string>;
  readonly onLoaded: (loaded: LoadedStage) => void;
}

/** One stage from loading to its exported student. Owns the mutable part: journals, best, pending checkpoint. */
class StageRunner {
  readonly #context: StageContext;
  readonly #stage: SizedStagePlan;
  readonly #folder: StageFolder;
  readonly #journals: StageJournals;
  readonly #evaluation: EvaluationContext;
  #best: Best | null;
  /** How far what is computed at a time has been halved, as the last row said. */
  #pieces = '';
  #written: Promise<void> = Promise.resolve();

  constructor(
    context: StageContext,
    stage: SizedStagePlan,
    folder: StageFolder,
    loaded: LoadedStage,
    journals: StageJournals,
    best: Best | null,
  ) {
    this.#context = context;
    this.#stage = stage;
    this.#folder = folder;
    this.#journals = journals;
    this.#best = best;
    this.#evaluation = {
      client: context.client,
      stage,
      rows: rowsOf(loaded),
      append: (row) => this.#journals.append(row),
      emit: context.emit,
      signal: context.signal,
    };
  }

  async train(from: StageState, policyVersion: number): Promise<StageState> {
    const { client, now, signal } = this.#context;
    const extent = from.step === 0 ? extentAtStart(this.#stage) : null;
    const rows = extent === null ? [] : await evaluateStage(this.#evaluation, 0, extent);
    if (signal?.aborted) return from;
    return trainLoop({
      client,
      stage: this.#stage,
      from: observe(this.#stage, from, validationFigures(this.#stage, rows)),
      policyVersion,
      now,
      signal,
      onRow: (row) => this.#onRow(row),
      atBarrier: (barrier) => this.#atBarrier(barrier),
    });
  }

  /** Puts the best student back, evaluates it on everything and exports it. */
  async finish(state: StageState): Promise<void> {
    await this.#written;
    const { client, emit } = this.#context;
    const { name } = this.#stage;
    const skipped = skippedText(this.#journals.updates);
    if (skipped !== null) emit({ kind: 'note', message: `stage ${name}: ${skipped}` });
    const step = await this.#restoreBest(state);
    await evaluateStage(this.#evaluation, step, 'final');
    emit({ kind: 'phase', stage: name, phase: 'exporting', detail: this.#folder.student, done: 0, total: 1 });
    const { result } = await client.call('export', {
      role: 'student',
      dir: path.resolve(this.#folder.student),
    });
    this.#journals.flush();
    writeJsonAtomic(this.#folder.done, { stage: name, step, files: result.files });
    emit({ kind: 'phase', stage: name, phase: 'exporting', detail: this.#folder.student, done: 1, total: 1 });
  }

  close(): void {
    this.#journals.close();
  }

  /** The step whose student the worker now has: the best one's, or the last where that checkpoint is damaged. */
  async #restoreBest(state: StageState): Promise<number> {
    const step = this.#best?.step ?? state.step;
    if (step === state.step) return step;
    const { client, emit } = this.#context;
    try {
      await restore(client, readCheckpoint(checkpointOf(this.#folder.checkpoints, step)));
      return step;
    } catch (error) {
      if (!isDamage(error)) throw error;
      if (error instanceof WireError) client.openEpoch();
      const instead = `the student of the last step, ${state.step}, is exported in place of the best, of ${step}`;
      emit({ kind: 'note', message: `stage ${this.#stage.name}: ${instead}: ${error.message}` });
      return state.step;
    }
  }

  #onRow(row: StepRow): void {
    this.#journals.append(row);
    const { micro_batch_halvings, position_chunk, rollout_rows } = row.metrics;
    const pieces = [micro_batch_halvings, position_chunk, rollout_rows].join();
    if (pieces === this.#pieces) return;
    this.#pieces = pieces;
    const message = halvingNote(this.#stage, row);
    if (message !== null) this.#context.emit({ kind: 'note', message });
  }

  async #atBarrier({ plan, state, stopping, overdue }: Barrier): Promise<StageState> {
    const figures = plan.evaluate
      ? validationFigures(this.#stage, await evaluateStage(this.#evaluation, state.step, 'interval'))
      : {};
    const value = figures[this.#stage.evaluation.best?.metric ?? ''];
    const improved = value !== undefined && isBetter(this.#stage, value, this.#best?.value);
    if (improved) this.#best = { step: state.step, value };
    const observed = observe(this.#stage, state, figures);
    if (plan.checkpoint || improved || stopping || overdue) await this.#checkpoint(observed);
    if (stopping) await this.#written;
    return observed;
  }

  async #checkpoint(state: StageState): Promise<void> {
    await this.#written;
    const { client, configHash, emit } = this.#context;
    const stage = this.#stage.name;
    const { folder, durable } = await writeCheckpoint(
      client,
      this.#folder.checkpoints,
      { stage, step: state.step, configHash },
      { schedule: state, best: this.#best, offsets: this.#journals.flush() },
    );
    const best = this.#best;
    this.#written = durable.then(() => {
      pruneCheckpoints(this.#folder.checkpoints, {
        keep: this.#stage.checkpoints.keep,
        step: state.step,
        best,
      });
      emit({ kind: 'checkpoint', stage, step: state.step, folder, durable: true });
    });
    // Awaited before the next checkpoint and at the end; a failure must not end the process before that.
    this.#written.catch(() => {});
  }
}

const loading = (stage: string, done: number): RunEvent => ({
  kind: 'phase',
  stage,
  phase: 'loading',
  detail: 'models and data',
  done,
  total: 1,
});

/** Whether steps were made that no checkpoint has, a damaged one included: of those it is told. */
const wasNeverSaved = ({ metrics, checkpoints }: StageFolder) =>
  (statSync(metrics, { throwIfNoEntry: false })?.size ?? 0) > 0 && listCheckpoints(checkpoints).length === 0;

/**
 * Runs one stage, from its newest checkpoint where there is one.
 *
 * @throws RunError `interrupted` or `time_over` when the signal stopped it: what has been trained is in a checkpoint.
 * @throws RunError `config_changed`, WireError or WorkerFailure as the worker fails.
 */
export async function runStage(context: StageContext, plan: StagePlan): Promise<void> {
  const { client, emit, signal } = context;
  const started = context.now();
  const folder = context.run.stage(plan.name).make();
  emit(loading(plan.name, 0));
  const loaded = await prepared(
    context,
    plan.name,
    'while its data were loaded',
    loadStage(client, plan, context.config, context.run, context.held, signal),
  );
  const sized = withRows(plan, rowsOf(loaded));
  const warning = await memoryWarning(client, sized);
  if (warning !== null) emit({ kind: 'note', message: warning });
  for (const message of notesOn(loaded)) {
    if (!context.told.has(message)) emit({ kind: 'note', message: `stage ${plan.name}: ${message}` });
    context.told.add(message);
  }
  context.onLoaded(loaded);
  emit(loading(plan.name, 1));
  const orders = rowOrders(context, sized, folder, loaded);
  const stage = withOrders(sized, await prepared(context, plan.name, 'while its rows were ordered', orders));
  const restored = await restoreNewest(context, folder.checkpoints);
  if (restored === null && wasNeverSaved(folder))
    emit({
      kind: 'note',
      message: `stage ${plan.name} begins anew: it was ended before its first checkpoint`,
    });
  emit({
    kind: 'stage_started',
    stage: plan.name,
    steps: stage.steps,
    resumed_from: restored?.checkpoint.manifest.step ?? null,
    parameters: parametersOf(loaded),
  });
  const kept = restored?.checkpoint.controller;
  const journals = await StageJournals.open(folder, kept?.offsets ?? NO_ROWS, Date.now() / 1000, emit);
  const runner = new StageRunner(context, stage, folder, loaded, journals, kept?.best ?? null);
  try {
    const from =
      restored === null ? INITIAL_STATE : restoreState(stage, restored.checkpoint.controller.schedule);
    const state = await runner.train(from, restored?.policyVersion ?? 0);
    if (state.step < stage.steps)
      throw stopped(context, plan.name, `after step ${state.step} of ${stage.steps}`);
    await runner.finish(state);
  } catch (error) {
    throw isCancelled(error, signal) ? stopped(context, plan.name, 'while it was evaluated') : error;
  } finally {
    runner.close();
  }
  emit({ kind: 'stage_finished', stage: plan.name, seconds: (context.now() - started) / 1000 });
}
