import type { TableColumn } from '../../../ts/metrics/table_file.js';
import type { RowResult } from '../../../ts/reproduce/cells.js';
import { makeEvaluation } from '../metrics/make_rows.js';

export const SEEN: TableColumn = {
  dataset: 'seen',
  decoding: 'sampled',
  metric: 'exact_match',
  title: 'seen',
};
export const LONGER: TableColumn = { ...SEEN, dataset: 'longer', title: 'longer' };

/** One student's evaluation on one set, by decoding seed; means are those of the scores. */
export function makeResult(
  row: string,
  seed: number,
  byDecodingSeed: readonly (readonly number[])[],
  dataset = 'seen',
): RowResult {
  const evaluations = byDecodingSeed.map((scores, at) =>
    makeEvaluation({
      stage: 'student',
      dataset,
      seed: 10 * (at + 1),
      scores,
      rows: scores.length,
      mean: scores.reduce((sum, score) => sum + score, 0) / scores.length,
    }),
  );
  return { row, seed, evaluations };
}

/** A row of five training seeds whose scores lie about `level`. */
export function makeRow(row: string, level: number, dataset = 'seen'): RowResult[] {
  return [101, 102, 103, 104, 105].map((seed, at) =>
    makeResult(row, seed, [[level + at, level - at, level + ((at * 3) % 4), level - 2]], dataset),
  );
}
