import { betterEnd, LOSSES } from '../config/metrics.js';
import { haveSameRows } from '../config/same_rows.js';
import type { SweepConfig } from '../config/schema/sweep.js';
import type { RunConfig, StageConfig } from '../config/schema.js';
import { summarise } from '../metrics/aggregate.js';
import type { DecodingKind, EvaluationRow } from '../metrics/rows.js';
import type { SweepSummary } from '../metrics/sweep_rows.js';
import { glanceOf } from '../run/stage/dataset_evaluation.js';

/** What trials are judged by, with nothing left open. */
export type Objective = SweepSummary['objective'];

const isLoss = (metric: string) => (LOSSES as readonly string[]).includes(metric);

/** How an evaluation during training decodes; of a stage that never does, the checks refuse it. */
const glance = ({ evaluation }: StageConfig): DecodingKind => glanceOf(evaluation)?.decoding ?? 'greedy';

/** Whether a dataset is a test set of the stage, by its name or, under another name, by its rows. */
export function isTestSet(dataset: string, stage: StageConfig, data: RunConfig['data']): boolean {
  return dataset !== stage.data.validation
    ? stage.data.test.includes(dataset)
    : stage.data.test.some((test) => haveSameRows(data, test, dataset));
}

/** Fills in what the sweep leaves open from the stage that it judges. `dataset` is empty where there is none. */
export function objectiveOf(
  config: SweepConfig['objective'],
  stage: StageConfig,
  testSet: boolean,
): Objective {
  const { metric } = config;
  return {
    dataset: config.dataset ?? stage.data.validation ?? '',
    metric,
    decoding: config.decoding ?? (isLoss(metric) ? 'teacher_forced' : glance(stage)),
    mode: betterEnd(config),
    test_set: testSet,
  };
}

/** Whether evaluations during training show the objective: they have the validation set and one decoding. */
export function isSeenInTraining({ dataset, decoding }: Objective, stage: StageConfig): boolean {
  if (stage.evaluation.every === 0 || dataset !== stage.data.validation) return false;
  return decoding === 'teacher_forced' || decoding === glance(stage);
}

const isOf = ({ dataset, metric, decoding }: Objective, row: EvaluationRow): boolean =>
  row.dataset === dataset && row.metric === metric && row.decoding === decoding;

/** Whether a row shows the objective of a student that is still being trained. */
export const isIntermediate = (objective: Objective, row: EvaluationRow): boolean =>
  !row.final && row.step > 0 && isOf(objective, row);

/** The objective of the trained student, the mean over decoding seeds; undefined where it was not evaluated. */
export function finalValue(objective: Objective, rows: readonly EvaluationRow[]): number | undefined {
  return summarise(rows.filter((row) => row.final && isOf(objective, row)))[0]?.mean;
}

/** The objective during training, by step; a step that was repeated counts once, by its last row. */
export function intermediateValues(
  objective: Objective,
  rows: readonly EvaluationRow[],
): readonly { readonly step: number; readonly value: number }[] {
  const seen = rows.filter((row) => isIntermediate(objective, row));
  return [...new Map(seen.map((row) => [row.step, row.mean]))].map(([step, value]) => ({ step, value }));
}
