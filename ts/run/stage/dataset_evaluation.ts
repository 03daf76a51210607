import type { EvaluationConfig } from '../../config/schema.js';
import type { WorkerClient } from '../../dispatch/client.js';
import { type Evaluated, type EvaluationWatch, evaluateRows } from '../../dispatch/evaluation.js';
import { corpusMetric } from '../../metrics/corpus_metrics.js';
import type { EvaluationRow, SampleRow } from '../../metrics/rows.js';

/** How responses are drawn, in the words of the rows. */
export type Decoding =
  | { readonly decoding: 'greedy'; readonly seed: null }
  | { readonly decoding: 'sampled'; readonly seed: number };

/** Greedy first, then one decoding a seed. */
export function decodingsOf({
  greedy,
  seeds,
}: Pick<EvaluationConfig, 'greedy' | 'seeds'>): readonly Decoding[] {
  const sampled = seeds.map((seed) => ({ decoding: 'sampled' as const, seed }));
  return greedy ? [{ decoding: 'greedy', seed: null }, ...sampled] : sampled;
}

/**
 * The one decoding of an evaluation during training, the first seed where there is one: that is how the reference
 * scripts choose checkpoints.
 */
export function glanceOf(evaluation: Pick<EvaluationConfig, 'greedy' | 'seeds'>): Decoding | undefined {
  const all = decodingsOf(evaluation);
  return all.find(({ decoding }) => decoding === 'sampled') ?? all[0];
}

export const describeDecoding = ({ decoding, seed }: Decoding) =>
  decoding === 'greedy' ? decoding : `${decoding}, seed ${seed}`;

export const meanOf = (values: readonly number[]) =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export const firstRows = (count: number) => Array.from({ length: count }, (_, row) => row);

export interface DatasetEvaluation {
  /** What the rows say of where they come from. */
  readonly about: Pick<EvaluationRow, 'stage' | 'step' | 'final'>;
  readonly dataset: string;
  /** Rows evaluated, from the first. */
  readonly rows: number;
  readonly decoding: Decoding;
  readonly metrics: readonly string[];
  readonly sampling: EvaluationConfig['sampling'];
  /** Responses kept as text, from the first row. */
  readonly texts: number;
  readonly keepScores: boolean;
}

export interface DatasetEvaluated {
  /** One row a metric. */
  readonly rows: readonly EvaluationRow[];
  readonly samples: readonly SampleRow[];
}

type Figures = Pick<EvaluationRow, 'mean' | 'scores' | 'statistics'>;

/**
 * What the rows of an evaluation come to, by metric, in the order of `metrics`. A metric of all rows together gets its
 * scores here, where all rows are known, so that no figure depends on how they were split into requests.
 */
function figuresOf(
  { scores, statistics }: Evaluated,
  metrics: readonly string[],
): readonly (readonly [metric: string, Figures])[] {
  const figures = [
    ...Object.entries(scores).map(([name, own]) => [name, { mean: meanOf(own), scores: own }] as const),
    ...Object.entries(statistics).map(([name, own]) => {
      const metric = corpusMetric(name);
      return [name, { mean: metric.figure(own), scores: metric.scores(own), statistics: own }] as const;
    }),
  ];
  return figures.toSorted(([one], [other]) => metrics.indexOf(one) - metrics.indexOf(other));
}

/** Generates for one dataset under one decoding with the worker's student, and scores the responses. */
export async function evaluateDataset(
  client: WorkerClient,
  evaluation: DatasetEvaluation,
  watch: EvaluationWatch = {},
): Promise<DatasetEvaluated> {
  const { about, dataset, rows, decoding, metrics, sampling, texts, keepScores } = evaluation;
  const greedy = decoding.decoding === 'greedy';
  const evaluated = await evaluateRows(
    client,
    {
      role: 'student',
      dataset,
      rows: firstRows(rows),
      sampling: { ...sampling, ...(greedy ? { temperature: 0 } : {}) },
      seed: greedy ? 0 : decoding.seed, // nothing is drawn where it is greedy
      metrics,
      texts: Math.min(texts, rows),
    },
    watch,
  );
  return {
    rows: figuresOf(evaluated, metrics).map(([metric, { mean, ...byRow }]) => ({
      kind: 'evaluation',
      ...about,
      dataset,
      metric,
      ...decoding,
      mean,
      rows,
      ended: evaluated.ended / rows,
      mean_length: evaluated.tokens / rows,
      tokens: evaluated.tokens,
      ...(keepScores ? byRow : {}),
    })),
    samples: evaluated.texts.map((text) => ({
      kind: 'sample',
      stage: about.stage,
      step: about.step,
      dataset,
      ...text,
    })),
  };
}
