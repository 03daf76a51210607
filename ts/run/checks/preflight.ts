import type { RunConfig } from '../../config/schema.js';
import type { WorkerClient } from '../../dispatch/client.js';
import { withRows } from '../../plan/stage.js';
import type { ModelPlan, RunPlan, SizedStagePlan, StagePlan } from '../../plan/types.js';
import type { OperationResult } from '../../wire/protocol.gen.js';
import type { RunFolder } from '../folder/run_folder.js';
import { type LoadedStage, notesOn, rowsOf } from '../loaded/loaded_stage.js';
import { forecastMemory, type MemoryForecast } from '../memory/forecast.js';
import { firstRows } from '../stage/dataset_evaluation.js';
import { loadStage } from '../workers/load_stage.js';

export type Check = OperationResult<'preflight'>['checks'][number];

/** A stage that was tried. */
export interface TriedStage {
  readonly stage: string;
  readonly checks: readonly Check[];
  /** Peak memory; null when batches have no rows to draw from. */
  readonly memory: MemoryForecast | null;
  /** Steps of the student that the data make; null where `memory` is. */
  readonly steps: number | null;
  /** What a user should know of models and data. */
  readonly notes: readonly string[];
  readonly skipped: null;
}

export interface UntriedStage {
  readonly stage: string;
  /** Why the stage could not be tried before the run. */
  readonly skipped: string;
}

/** What came of trying a stage, or why it could not be tried. */
export type StagePreflight = TriedStage | UntriedStage;

export const wasTried = (outcome: StagePreflight): outcome is TriedStage => outcome.skipped === null;

/** Rows among which the worker looks for some with an answer. */
const ROWS = 64;

/** The model that a stage's student starts from, before any training; null when it cannot be had before the run. */
function untrained(plan: RunPlan, model: ModelPlan): ModelPlan | null {
  if (model.origin.kind === 'source') return model;
  const { stage } = model.origin;
  const before = plan.stages.find(({ name }) => name === stage);
  const start = before === undefined ? null : untrained(plan, before.student);
  if (start === null || model.init !== 'layers') return start;
  return start.init === 'pretrained' ? { ...start, init: 'layers', layers: model.layers } : null;
}

function beforeRun(plan: RunPlan, stage: StagePlan): StagePlan | null {
  const student = untrained(plan, stage.student);
  const teacher = stage.teacher === null ? null : untrained(plan, stage.teacher);
  if (student === null || (stage.teacher !== null && teacher === null)) return null;
  return { ...stage, student, teacher };
}

/** The stage with the rows of its datasets; null when one that batches draw from has none. */
function sizedStage(stage: StagePlan, loaded: LoadedStage): SizedStagePlan | null {
  const rows = rowsOf(loaded);
  const empty = Object.keys(stage.orderSeeds).some((name) => (rows[name] ?? 0) === 0);
  return empty ? null : withRows(stage, rows);
}

/**
 * Loads every stage as it would start, predicts its memory, and checks the identities that must hold: a policy scored
 * against itself has no divergence, masks count the labels, losses are finite. Models of earlier stages stand in
 * untrained.
 */
export async function preflight(
  client: WorkerClient,
  config: RunConfig,
  plan: RunPlan,
  run: RunFolder,
  device: string,
): Promise<readonly StagePreflight[]> {
  const outcomes: StagePreflight[] = [];
  for (const planned of plan.stages) {
    const stage = beforeRun(plan, planned);
    if (stage === null) {
      const skipped = 'it starts from some layers of a model that only an earlier stage makes';
      outcomes.push({ stage: planned.name, skipped });
      continue;
    }
    const loaded = await loadStage(client, stage, config, run);
    const sized = sizedStage(stage, loaded);
    const about = { worker: config.worker, device };
    const memory = sized === null ? null : await forecastMemory(client, sized, about);
    const available = loaded.datasets[stage.data.train]?.rows ?? 0;
    const rows = firstRows(Math.min(ROWS, available));
    const { result } = await client.call('preflight', { dataset: stage.data.train, rows });
    const steps = sized?.studentSteps ?? null;
    const unchecked = `none of the first ${rows.length} rows of ${stage.data.train} has an answer to check models on`;
    const notes = [...notesOn(loaded), ...(result.checks.length === 0 ? [unchecked] : [])];
    outcomes.push({ stage: stage.name, checks: result.checks, memory, steps, notes, skipped: null });
  }
  return outcomes;
}
