import { mean } from 'simple-statistics';
import type { ProfileConfig, RowConfig, TableConfig } from '../config/schema.js';
import type { JournalPlace, TableColumn, TableFile, TableRow } from '../metrics/table_file.js';
import type { RowResult } from './cells.js';
import type { Choices } from './plan.js';
import type { DeclaredPrimary } from './primary.js';
import { isFixed } from './profile.js';
import { readReferences, referenceNumber } from './reference.js';
import { tableStatistics } from './statistics.js';

/** One row's student of one training seed. */
export interface StudentResult extends RowResult {
  /** Response tokens trained on, and seconds of training. */
  readonly tokens: number;
  readonly seconds: number;
  readonly place: JournalPlace;
}

export interface TableInputs {
  readonly profile: ProfileConfig;
  readonly name: string;
  readonly table: TableConfig;
  readonly seeds: readonly number[];
  readonly tuned: { readonly choices: Choices; readonly figures: ReadonlyMap<string, number> };
  readonly results: readonly StudentResult[];
  /** What is equal for all rows, a sentence each. */
  readonly protocol: readonly string[];
}

/** Figures of every set as the primary comparison is decoded (sampled, where there is none), then the others. */
function columnsOf(
  { metric, evaluation }: ProfileConfig,
  { data, primary }: TableConfig,
): readonly TableColumn[] {
  const both =
    primary?.decoding === 'greedy' ? (['greedy', 'sampled'] as const) : (['sampled', 'greedy'] as const);
  const decodings = both.filter((decoding) => decoding === 'sampled' || evaluation.greedy);
  return decodings.flatMap((decoding) =>
    data.map((dataset) => {
      return {
        dataset,
        decoding,
        metric,
        title: dataset,
      };
    }),
  );
}

const labelOf = (id: string, { label }: RowConfig): string => label ?? id;

function declaredPrimary(
  { primary, rows }: TableConfig,
  columns: readonly TableColumn[],
): DeclaredPrimary | null {
  if (primary === null) return null;
  const column = columns.findIndex(
    ({ dataset, decoding }) => dataset === primary.data && decoding === primary.decoding,
  );
  const baselines = Object.entries(rows).flatMap(([id, { group }]) => (group === 'baseline' ? [id] : []));
  return { row: primary.row, column, baselines };
}

/** The reference number of a row in a column, where the profile says whose numbers stand beside. */
function referencesOf({ reference, metric }: ProfileConfig, { rows }: TableConfig) {
  if (reference === null) return () => null;
  const known = readReferences();
  const { family, student, columns, decoding: theirs } = reference;
  return (row: string, { dataset, decoding }: TableColumn) => {
    const method = rows[row]?.reference ?? null;
    if (method === null || decoding !== theirs) return null;
    return referenceNumber(known, { family, student, method, dataset: columns[dataset] ?? dataset, metric });
  };
}

function rowOf(
  { table, tuned, results, profile }: TableInputs,
  id: string,
  row: RowConfig,
  cells: TableRow['cells'],
): TableRow {
  const own = results.filter((result) => result.row === id);
  const average = (values: readonly number[]) => (values.length === 0 ? null : mean([...values]));
  const isTuned = tuned.choices.has(id);
  return {
    id,
    label: labelOf(id, row),
    method: isFixed(row) ? null : row.stage,
    group: row.group,
    hyperparameter: table.rows[id]?.hyperparameter ?? null,
    cells,
    tokens: average(own.map(({ tokens }) => tokens)),
    tuning_trials: isTuned ? (profile.tuning?.values.length ?? null) : null,
    seconds: average(own.map(({ seconds }) => seconds)),
  };
}

/** Where responses are read for the eye: each row's first seed. */
function firstPlaces(results: readonly StudentResult[]): readonly JournalPlace[] {
  const firsts = new Map<string, JournalPlace>();
  for (const { row, place } of results) if (!firsts.has(row)) firsts.set(row, place);
  return [...firsts.values()];
}

/** The table of a reproduction, from everything that was trained and evaluated for it. */
export function tableFile(inputs: TableInputs): TableFile {
  const { profile, name, table, seeds, tuned, results, protocol } = inputs;
  const columns = columnsOf(profile, table);
  const rows = Object.entries(table.rows);
  const { cells, primary, warnings } = tableStatistics({
    columns,
    rows: rows.map(([id, row]) => ({ id, label: labelOf(id, row) })),
    results,
    primary: declaredPrimary(table, columns),
    tuning: tuned.figures,
    reference: referencesOf(profile, table),
    incomparable: profile.not_comparable,
  });
  const places = results.map(({ place }) => place);
  return {
    kind: 'reproduction',
    version: 1,
    table: name,
    profile: profile.name,
    title: table.title,
    metric: profile.metric,
    protocol: [...protocol],
    seeds: [...seeds],
    decoding_seeds: [...profile.evaluation.seeds],
    columns: [...columns],
    rows: rows.map(([id, row]) => rowOf(inputs, id, row, cells.get(id) ?? [])),
    primary,
    curves: places,
    samples: [...firstPlaces(results)],
    warnings: [...warnings],
  };
}
