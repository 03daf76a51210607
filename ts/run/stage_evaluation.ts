import type { WorkerClient } from '../dispatch/client.js';
import { evaluateRows, measureRows } from '../dispatch/evaluation.js';
import type { PhaseChanged } from '../metrics/events.js';
import type { EvaluationRow, SampleRow } from '../metrics/rows.js';
import type { SizedStagePlan } from '../plan/types.js';

/** How much is evaluated: a glance during training, everything at the start (if asked) and at the end. */
export type Extent = 'interval' | 'initial' | 'final';

interface Decoding {
  readonly decoding: 'greedy' | 'sampled';
  readonly seed: number | null;
}

interface Pass {
  readonly dataset: string;
  readonly decoding: Decoding;
  /** Texts are kept of the first decoding only. */
  readonly texts: number;
}

export interface EvaluationContext {
  readonly client: WorkerClient;
  readonly stage: SizedStagePlan;
  /** Rows of every dataset of the stage. */
  readonly rows: Readonly<Record<string, number>>;
  readonly append: (row: EvaluationRow | SampleRow) => void;
  readonly emit: (event: PhaseChanged) => void;
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const firstRows = (count: number) => Array.from({ length: count }, (_, row) => row);

/** During training one decoding is enough: the first seed, or greedy when no seed is given. */
function decodingsOf({ evaluation }: SizedStagePlan, extent: Extent): readonly Decoding[] {
  const sampled = evaluation.seeds.map((seed) => ({ decoding: 'sampled' as const, seed }));
  const greedy = evaluation.greedy ? [{ decoding: 'greedy' as const, seed: null }] : [];
  return extent === 'interval' ? [...sampled, ...greedy].slice(0, 1) : [...greedy, ...sampled];
}

function datasetsOf({ data }: SizedStagePlan, extent: Extent): readonly string[] {
  const validation = data.validation === null ? [] : [data.validation];
  return extent === 'interval' ? validation : [...validation, ...data.test];
}

async function evaluateDataset(
  context: EvaluationContext,
  { dataset, decoding, texts }: Pass,
  step: number,
  extent: Extent,
): Promise<readonly EvaluationRow[]> {
  const { client, stage, append, emit } = context;
  const settings = stage.evaluation;
  const available = context.rows[dataset] ?? 0;
  const count = extent === 'interval' ? Math.min(available, settings.rows ?? available) : available;
  if (count === 0) return [];
  const detail = `${dataset}, ${decoding.decoding}${decoding.seed === null ? '' : ` seed ${decoding.seed}`}`;
  const progress = (done: number) =>
    emit({ kind: 'phase', stage: stage.name, phase: 'evaluating', detail, done, total: count });
  progress(0);
  const greedy = decoding.decoding === 'greedy';
  const evaluated = await evaluateRows(
    client,
    {
      role: 'student',
      dataset,
      rows: firstRows(count),
      sampling: { ...settings.sampling, ...(greedy ? { temperature: 0 } : {}) },
      seed: decoding.seed ?? 0,
      metrics: [...settings.metrics],
      texts: Math.min(texts, count),
    },
    progress,
  );
  for (const text of evaluated.texts) append({ kind: 'sample', stage: stage.name, step, dataset, ...text });
  return Object.entries(evaluated.scores).map(([metric, scores]) => ({
    kind: 'evaluation',
    stage: stage.name,
    step,
    final: extent === 'final',
    dataset,
    metric,
    ...decoding,
    mean: meanOf(scores),
    rows: count,
    ended: evaluated.ended / count,
    mean_length: evaluated.tokens / count,
    tokens: evaluated.tokens,
    ...(extent === 'interval' ? {} : { scores }),
  }));
}

/** Teacher-forced figures on the validation set's own responses. */
async function measureValidation(
  context: EvaluationContext,
  step: number,
  extent: Extent,
): Promise<readonly EvaluationRow[]> {
  const { client, stage } = context;
  const dataset = stage.data.validation;
  const available = dataset === null ? 0 : (context.rows[dataset] ?? 0);
  if (dataset === null || available === 0 || stage.evaluation.measure.length === 0) return [];
  const count = extent === 'interval' ? Math.min(available, stage.evaluation.rows ?? available) : available;
  const measured = await measureRows(client, {
    role: 'student',
    dataset,
    rows: firstRows(count),
    metrics: [...stage.evaluation.measure],
    micro_batch: stage.training.micro_batch || stage.training.batch_size,
  });
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
    rows: count,
    ended: null,
    mean_length: null,
    tokens: measured.tokens.reduce((sum, tokens) => sum + tokens, 0),
    ...(extent === 'interval' ? {} : { scores }),
  }));
}

/** Evaluates the student as it is, appends the rows to the run folder and returns them. */
export async function evaluateStage(
  context: EvaluationContext,
  step: number,
  extent: Extent,
): Promise<readonly EvaluationRow[]> {
  const rows: EvaluationRow[] = [...(await measureValidation(context, step, extent))];
  const passes = datasetsOf(context.stage, extent).flatMap((dataset) =>
    decodingsOf(context.stage, extent).map((decoding, index) => ({
      dataset,
      decoding,
      texts: index === 0 ? context.stage.evaluation.samples : 0,
    })),
  );
  for (const pass of passes) rows.push(...(await evaluateDataset(context, pass, step, extent)));
  for (const row of rows) context.append(row);
  return rows;
}

/** The figure that `evaluation.best` watches, or undefined when these rows do not have it. */
export function bestValue(stage: SizedStagePlan, rows: readonly EvaluationRow[]): number | undefined {
  const best = stage.evaluation.best;
  if (best === null) return undefined;
  return rows.find((row) => row.dataset === stage.data.validation && row.metric === best.metric)?.mean;
}

export function isBetter(stage: SizedStagePlan, value: number, than: number | undefined): boolean {
  if (than === undefined) return true;
  return stage.evaluation.best?.mode === 'min' ? value < than : value > than;
}
