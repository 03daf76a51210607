import type { PrimaryComparison, ReferenceNumber, TableCell, TableColumn } from '../metrics/table_file.js';
import { type RowResult, seedResults, tableCell } from './cells.js';
import { compareRows, comparisonKey, correctedComparisons } from './comparisons.js';
import { bestBaseline, type DeclaredPrimary, primaryComparison } from './primary.js';

export interface StatisticsInputs {
  readonly columns: readonly TableColumn[];
  /** In the order of the table. */
  readonly rows: readonly { readonly id: string; readonly label: string }[];
  readonly results: readonly RowResult[];
  /** Null for a table that compares nothing. */
  readonly primary: DeclaredPrimary | null;
  /** Figures of rows on the tuning set. */
  readonly tuning: ReadonlyMap<string, number>;
  readonly reference: (row: string, column: TableColumn) => ReferenceNumber | null;
  /** Why reference numbers are of another experiment than ours; null where they are of the same. */
  readonly incomparable: string | null;
}

export interface Statistics {
  /** By row, in the order of the columns; null is not evaluated. */
  readonly cells: ReadonlyMap<string, readonly (TableCell | null)[]>;
  readonly primary: PrimaryComparison | null;
  readonly warnings: readonly string[];
}

/**
 * Cells with verdicts, the primary comparison, and all other rows against its row, corrected by Holm for their number.
 *
 * @throws {RangeError} a row has two results of one training seed
 */
export function tableStatistics(inputs: StatisticsInputs): Statistics {
  const { columns, rows, results, reference, incomparable } = inputs;
  const { comparisons, primary, warnings } = comparisonsOf(inputs);
  const cells = rows.map(({ id }) => {
    const own = columns.map((column, at) => {
      const cell = tableCell(seedResults(results, id, column), reference(id, column), incomparable);
      return cell && { ...cell, comparison: comparisons.get(comparisonKey(id, at)) ?? null };
    });
    return [id, own] as const;
  });
  return { cells: new Map(cells), primary, warnings };
}

function comparisonsOf({ columns, rows, results, primary: declared, tuning }: StatisticsInputs) {
  if (declared === null) return { comparisons: new Map<string, never>(), primary: null, warnings: [] };
  const opponent = bestBaseline(declared.baselines, tuning);
  const { compared, warnings } = compareRows(
    results,
    rows.map(({ id }) => id),
    declared.row,
    columns,
  );
  const first = compared.find(({ row, column }) => row === opponent && column === declared.column);
  const comparisons = correctedComparisons(compared, declared.row, (one) => one === first);
  if (first === undefined)
    return { comparisons, primary: null, warnings: [...warnings, missing(declared, opponent)] };
  const labels = new Map(rows.map(({ id, label }) => [id, label]));
  const primary = primaryComparison({
    declared,
    tuning,
    compared: first,
    column: nameOf(columns[declared.column]),
    label: (row) => labels.get(row) ?? row,
  });
  return { comparisons, primary, warnings };
}

const nameOf = (column: TableColumn | undefined): string =>
  column === undefined ? '' : `${column.title}, ${column.decoding}`;

const missing = ({ row }: DeclaredPrimary, opponent: string | undefined): string =>
  opponent === undefined
    ? `the primary comparison of ${row} could not be made: no baseline has a figure on the tuning set`
    : `the primary comparison of ${row} with ${opponent} could not be made: they do not have two training seeds in common`;
