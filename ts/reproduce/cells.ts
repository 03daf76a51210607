import { mean, sampleStandardDeviation } from 'simple-statistics';
import { rowScores, summarise } from '../metrics/aggregate.js';
import type { EvaluationRow } from '../metrics/rows.js';
import type { ReferenceNumber, TableCell, TableColumn } from '../metrics/table_file.js';
import { verdict } from './verdict.js';

/** The final evaluations of one row's student of one training seed. */
export interface RowResult {
  readonly row: string;
  readonly seed: number;
  readonly evaluations: readonly EvaluationRow[];
}

/** One row in one column, of one training seed; decoding seeds are averaged within. */
export interface SeedResult {
  readonly seed: number;
  readonly value: number;
  /** By test row; undefined where the evaluation kept none. */
  readonly scores: readonly number[] | undefined;
}

/**
 * Results of a row in a column, by rising training seed; none where it was not evaluated so.
 *
 * @throws {RangeError} a training seed is there twice
 */
export function seedResults(results: readonly RowResult[], row: string, column: TableColumn): SeedResult[] {
  const own = results.filter((result) => result.row === row);
  if (new Set(own.map(({ seed }) => seed)).size < own.length)
    throw new RangeError(`row ${row} has two results of one training seed`);
  return own
    .flatMap(({ seed, evaluations }) => {
      const here = evaluations.filter((evaluation) => evaluation.final && isOf(evaluation, column));
      const [summary] = summarise(here);
      return summary === undefined ? [] : [{ seed, value: summary.mean, scores: rowScores(here) }];
    })
    .sort((left, right) => left.seed - right.seed);
}

const isOf = (evaluation: EvaluationRow, { dataset, decoding, metric }: TableColumn): boolean =>
  evaluation.dataset === dataset && evaluation.decoding === decoding && evaluation.metric === metric;

/**
 * A cell without its comparison; null where the row was not evaluated so.
 *
 * @param incomparable - why the reference number is of another experiment than ours; null where it is of the same
 */
export function tableCell(
  results: readonly SeedResult[],
  reference: ReferenceNumber | null,
  incomparable: string | null,
): TableCell | null {
  const [first, ...others] = results.map(({ value }) => value);
  const [firstSeed, ...otherSeeds] = results.map(({ seed }) => seed);
  if (first === undefined || firstSeed === undefined) return null;
  const values: [number, ...number[]] = [first, ...others];
  return {
    seeds: [firstSeed, ...otherSeeds],
    values,
    mean: mean(values),
    sd: others.length === 0 ? null : sampleStandardDeviation(values),
    reference,
    ...verdict(values, reference, incomparable),
    comparison: null,
  };
}
