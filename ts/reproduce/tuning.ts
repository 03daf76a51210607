import type { ProfileConfig, TableConfig } from '../config/schema.js';
import type { EvaluationRow } from '../metrics/rows.js';
import type { Choices, Job } from './plan.js';

/** A score under one way of decoding. */
export interface Figure {
  readonly metric: string;
  readonly decoding: 'sampled' | 'greedy';
}

/** By what is chosen: by what the table compares, where it compares anything. */
export const chosenBy = (
  { metric }: Pick<ProfileConfig, 'metric'>,
  { primary }: Pick<TableConfig, 'primary'>,
): Figure => ({ metric, decoding: primary?.decoding ?? 'sampled' });

/** Mean of the figure over the decoding seeds of one dataset. */
export function decodedMean(evaluations: readonly EvaluationRow[], { metric, decoding }: Figure): number {
  const means = evaluations
    .filter((row) => row.metric === metric && row.decoding === decoding)
    .map(({ mean }) => mean);
  if (means.length === 0) throw new RangeError(`no ${decoding} ${metric} among the evaluations`);
  return means.reduce((sum, value) => sum + value, 0) / means.length;
}

/** What was found on the tuning set. */
export interface Tuned {
  readonly choices: Choices;
  /** The figure of each row at its choice. */
  readonly figures: ReadonlyMap<string, number>;
}

/**
 * The best value of each row by its figure on the tuning set; of equals the first that was tried. Scores of test sets
 * have no way in.
 */
export function chooseValues(
  tried: readonly { readonly job: Job; readonly evaluations: readonly EvaluationRow[] }[],
  by: Figure,
): Tuned {
  const choices = new Map<string, number>();
  const figures = new Map<string, number>();
  for (const { job, evaluations } of tried) {
    const figure = decodedMean(evaluations, by);
    if (figure <= (figures.get(job.row) ?? Number.NEGATIVE_INFINITY)) continue;
    figures.set(job.row, figure);
    if (job.value !== null) choices.set(job.row, job.value);
  }
  return { choices, figures };
}
