import { evaluatedSets } from '../../config/evaluated.js';
import { betterEnd } from '../../config/metrics.js';
import type { WorkerClient } from '../../dispatch/client.js';
import { type EvaluationWatch, measureRows } from '../../dispatch/evaluation.js';
import { corpusMetric } from '../../metrics/corpus_metrics.js';
import type { PhaseChanged } from '../../metrics/events.js';
import type { EvaluationRow, SampleRow } from '../../metrics/rows.js';
import type { SizedStagePlan } from '../../plan/types.js';
import { needsMark } from '../../schedule/adaptive.js';
import { measureLimitsOf } from '../../schedule/micro_batches.js';
import {
  type Decoding,
  decodingsOf,
  describeDecoding,
  evaluateDataset,
  firstRows,
  glanceOf,
  meanOf,
} from './dataset_evaluation.js';

/** How much is evaluated: a glance during training, everything at the start (where asked) and at the end. */
export type Extent = 'interval' | 'initial' | 'final';

/** What is evaluated before the first step: adaptive schedules need a glance, to tell whether the next got better. */
export function extentAtStart(stage: SizedStagePlan): Extent | null {
  if (stage.evaluation.initial) return 'initial';
  return needsMark(stage) ? 'interval' : null;
}

export interface EvaluationContext {
  readonly client: WorkerClient;
  readonly stage: SizedStagePlan;
  /** Rows of every dataset of the stage. */
  readonly rows: Readonly<Record<string, number>>;
  readonly append: (row: EvaluationRow | SampleRow) => void;
  readonly emit: (event: PhaseChanged) => void;
  /** Aborting cancels an initial or final evaluation; one during training is short, and its step's checkpoint follows. */
  readonly signal: AbortSignal | undefined;
}

/** Tells how many rows are done, and stops when asked to. */
function watchOf(
  { stage, emit, signal }: EvaluationContext,
  extent: Extent,
  detail: string,
  total: number,
): EvaluationWatch {
  return {
    onRows: (done) => emit({ kind: 'phase', stage: stage.name, phase: 'evaluating', detail, done, total }),
    signal: extent === 'interval' ? undefined : signal,
  };
}

interface Pass {
  readonly dataset: string;
  readonly decoding: Decoding;
  /** Texts are kept of the first decoding only. */
  readonly texts: number;
}

/** What is generated. During training only the validation set and one decoding. */
function passesOf(stage: SizedStagePlan, extent: Extent): readonly Pass[] {
  const { data, evaluation } = stage;
  const all = decodingsOf(evaluation);
  const glance = glanceOf(evaluation);
  const decodings = extent === 'interval' ? (glance === undefined ? [] : [glance]) : all;
  const datasets = evaluatedSets(extent === 'interval' ? { ...data, test: [] } : data);
  return datasets.flatMap((dataset) =>
    decodings.map((decoding, index) => ({ dataset, decoding, texts: index === 0 ? evaluation.samples : 0 })),
  );
}

function rowCount(context: EvaluationContext, dataset: string, extent: Extent): number {
  const available = context.rows[dataset] ?? 0;
  return extent === 'interval' ? Math.min(available, context.stage.evaluation.rows ?? available) : available;
}

async function generatedRows(
  context: EvaluationContext,
  { dataset, decoding, texts }: Pass,
  step: number,
  extent: Extent,
): Promise<readonly EvaluationRow[]> {
  const { client, stage, append } = context;
  const total = rowCount(context, dataset, extent);
  if (total === 0) return [];
  const evaluated = await evaluateDataset(
    client,
    {
      about: { stage: stage.name, step, final: extent === 'final' },
      dataset,
      rows: total,
      decoding,
      metrics: stage.evaluation.metrics,
      sampling: stage.evaluation.sampling,
      texts,
      keepScores: extent !== 'interval',
    },
    watchOf(context, extent, `${dataset}, ${describeDecoding(decoding)}`, total),
  );
  for (const sample of evaluated.samples) append(sample);
  return evaluated.rows;
}

/** Teacher-forced figures on the validation set's own responses. */
async function measuredRows(
  context: EvaluationContext,
  step: number,
  extent: Extent,
): Promise<readonly EvaluationRow[]> {
  const { client, stage } = context;
  const dataset = stage.data.validation;
  if (dataset === null || stage.evaluation.measure.length === 0) return [];
  const rows = rowCount(context, dataset, extent);
  if (rows === 0) return [];
  const watch = watchOf(context, extent, `${dataset}, own responses`, rows);
  const measured = await measureRows(
    client,
    {
      role: 'student',
      dataset,
      rows: firstRows(rows),
      metrics: stage.evaluation.measure,
      ...measureLimitsOf(stage.training),
    },
    watch,
  );
  const tokens = measured.tokens.reduce((sum, count) => sum + count, 0);
  return Object.entries(measured.values).map(([metric, scores]) => ({
    kind: 'evaluation',
    stage: stage.name,
    step,
    final: extent === 'final',
    dataset,
    metric,
    decoding: 'teacher_forced',
    seed: null,
    mean: meanOf(scores),
    rows,
    ended: null,
    mean_length: null,
    tokens,
    ...(extent === 'interval' ? {} : { scores }),
  }));
}

/**
 * Evaluates the student as it is. Rows go to the run folder as they come, and are returned.
 *
 * @throws WireError `cancelled` when the signal stopped it.
 */
export async function evaluateStage(
  context: EvaluationContext,
  step: number,
  extent: Extent,
): Promise<readonly EvaluationRow[]> {
  const all: EvaluationRow[] = [];
  const keep = (rows: readonly EvaluationRow[]) => {
    for (const row of rows) context.append(row);
    all.push(...rows);
  };
  keep(await measuredRows(context, step, extent));
  for (const pass of passesOf(context.stage, extent)) keep(await generatedRows(context, pass, step, extent));
  return all;
}

/** The figure of a row of evaluations over its first `limit` dataset rows, where they can be told apart. */
function figureOf({ metric, mean, scores, statistics }: EvaluationRow, limit: number | undefined): number {
  if (statistics !== undefined) return corpusMetric(metric).figure(statistics.slice(0, limit));
  return scores === undefined ? mean : meanOf(scores.slice(0, limit));
}

/**
 * What the validation set says, by metric. An evaluation of everything is cut to what one during training has, so that
 * the two compare: its one decoding, and its first rows.
 */
export function validationFigures(
  stage: SizedStagePlan,
  rows: readonly EvaluationRow[],
): Readonly<Record<string, number>> {
  const glance = glanceOf(stage.evaluation);
  const seen = rows.filter(({ dataset, decoding, seed }) => {
    if (dataset !== stage.data.validation) return false;
    return decoding === 'teacher_forced' || (decoding === glance?.decoding && seed === glance.seed);
  });
  const limit = stage.evaluation.rows ?? undefined;
  return Object.fromEntries(seen.map((row) => [row.metric, figureOf(row, limit)]));
}

export function isBetter(stage: SizedStagePlan, value: number, than: number | undefined): boolean {
  const { best } = stage.evaluation;
  if (than === undefined || best === null) return true;
  return betterEnd(best) === 'min' ? value < than : value > than;
}
