import type { TestedDifference } from '../metrics/hierarchical_bootstrap.js';
import { holm } from '../metrics/holm.js';
import type { TableCell, TableColumn } from '../metrics/table_file.js';
import { testedDifference } from '../metrics/tested_difference.js';
import { type RowResult, seedResults } from './cells.js';

/** At 0.05, and with Holm's correction for this many tests, a p value can still be small enough. */
const RESAMPLES_PER_TEST = 100;
const LEAST_RESAMPLES = 10_000;

export interface Compared {
  readonly row: string;
  /** Index of the column. */
  readonly column: number;
  readonly tested: TestedDifference;
}

/** What could be compared, and for which rows not as it should. */
export interface Comparisons {
  readonly compared: readonly Compared[];
  readonly warnings: readonly string[];
}

interface Pair {
  readonly row: string;
  readonly column: number;
  readonly own: readonly (readonly number[])[];
  readonly others: readonly (readonly number[])[];
}

/**
 * Every row minus the row `against`, in every column, over the training seeds that both have. A row with fewer than two
 * of them (the teacher) is left out.
 */
export function compareRows(
  results: readonly RowResult[],
  rows: readonly string[],
  against: string,
  columns: readonly TableColumn[],
): Comparisons {
  const warnings = new Set<string>();
  const warn = (message: string): void => void warnings.add(message);
  const pairs = columns.flatMap((column, at) => {
    const others = seedResults(results, against, column);
    return rows.flatMap((row): Pair[] => {
      if (row === against) return [];
      const own = seedResults(results, row, column);
      const shared = own.flatMap(({ seed, scores }) => {
        const other = others.find((result) => result.seed === seed);
        return other === undefined ? [] : [{ scores, other: other.scores }];
      });
      if (shared.length < 2) return [];
      if (shared.length < Math.max(own.length, others.length))
        warn(`${row} and ${against} are compared on the ${shared.length} training seeds that both have`);
      const scored = shared.flatMap(({ scores, other }) =>
        scores !== undefined && other?.length === scores.length ? [{ scores, other }] : [],
      );
      if (scored.length === shared.length)
        return [
          { row, column: at, own: scored.map((it) => it.scores), others: scored.map((it) => it.other) },
        ];
      warn(`${row} and ${against} are not compared on ${column.title}: they have no scores of the same rows`);
      return [];
    });
  });
  const resamples = Math.max(LEAST_RESAMPLES, RESAMPLES_PER_TEST * pairs.length);
  const compared = pairs.map(({ row, column, own, others }) => ({
    row,
    column,
    tested: testedDifference(own, others, { resamples }),
  }));
  return { compared, warnings: [...warnings] };
}

type CellComparison = NonNullable<TableCell['comparison']>;

/**
 * Comparisons as cells have them, corrected by Holm for their number; the primary one, declared alone, is not among
 * those that are corrected, and has no corrected p value.
 *
 * @returns by `ROW COLUMN` (`comparisonKey`)
 */
export function correctedComparisons(
  compared: readonly Compared[],
  against: string,
  isPrimary: (compared: Compared) => boolean,
): ReadonlyMap<string, CellComparison> {
  const secondary = compared.filter((one) => !isPrimary(one));
  const corrected = holm(secondary.map(({ tested }) => tested.p));
  const pHolm = new Map(secondary.map((one, at) => [one, corrected[at] ?? null]));
  return new Map(
    compared.map((one) => {
      const { difference, low, high, p } = one.tested;
      const p_holm = pHolm.get(one) ?? null;
      return [comparisonKey(one.row, one.column), { against, difference, low, high, p, p_holm }];
    }),
  );
}

export const comparisonKey = (row: string, column: number): string => JSON.stringify([row, column]);
