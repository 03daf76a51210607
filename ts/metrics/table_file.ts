import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../common/atomic_file.js';
import { AmmdError } from '../common/errors.js';

/**
 * The table of a reproduction, as `ammd reproduce` leaves it beside its stages and `ammd report` shows it. Every
 * figure a reader sees is in it; scores by test row stay in the stages' own files. Like the rows of a run it
 * outlives the code that wrote it: a change of meaning is a new version.
 */

/** Name of the file in a reproduction's folder. */
export const TABLE_FILE = 'table.json';

const name = z.string().min(1);
const count = z.int().nonnegative();
const probability = z.number().min(0).max(1);

/** A 95 % interval of a difference of two rows, and the p value against no difference. */
const tested = {
  difference: z.number().describe('This row minus `against`, mean over training seeds and test rows.'),
  low: z.number(),
  high: z.number(),
  p: probability.describe('Two-sided, not corrected: the larger of a bootstrap’s and a t-test’s.'),
};

const columnSchema = z
  .strictObject({
    dataset: name,
    decoding: z.enum(['greedy', 'sampled', 'teacher_forced']),
    metric: name,
    title: name,
  })
  .readonly();

const referenceNumberSchema = z
  .strictObject({
    value: z.number(),
    sd: z.number().nonnegative().nullable().describe('The spread that the source states.'),
    source: name.describe('Where the number is from, in words.'),
  })
  .readonly();

const cellSchema = z
  .strictObject({
    seeds: z.array(count).nonempty().readonly().describe('Training seeds.'),
    values: z
      .array(z.number())
      .nonempty()
      .readonly()
      .describe('One mean for each of `seeds`, in their order; decoding seeds are averaged within.'),
    mean: z.number(),
    sd: z
      .number()
      .nonnegative()
      .nullable()
      .describe('Over training seeds, divisor n − 1; null for one seed.'),
    reference: referenceNumberSchema.nullable(),
    verdict: z.enum(['reproduced', 'differs', 'not_comparable', 'not_enough_seeds']),
    reason: name.describe('Why this verdict, as one clause.'),
    comparison: z
      .strictObject({
        against: name.describe('Id of the row.'),
        ...tested,
        p_holm: probability.nullable().describe('null for the primary comparison, which is not one of many.'),
      })
      .readonly()
      .nullable(),
  })
  .refine(({ seeds, values }) => seeds.length === values.length, 'seeds and values differ in number')
  .readonly();

const rowSchema = z
  .strictObject({
    id: name,
    label: name,
    method: name.nullable().describe('Name of the method; null for the teacher and the start.'),
    group: z.enum(['teacher', 'start', 'baseline', 'ours']),
    hyperparameter: z.number().nullable().describe('Place on the axis of the table `beta`.'),
    cells: z
      .array(cellSchema.nullable())
      .readonly()
      .describe('In the order of `columns`; null is not evaluated.'),
    tokens: z.number().nonnegative().nullable().describe('Response tokens trained on, mean over seeds.'),
    tuning_trials: count.nullable().describe('Settings tried on the tuning split.'),
    seconds: z.number().nonnegative().nullable().describe('Training, mean over seeds.'),
  })
  .readonly();

const primarySchema = z
  .strictObject({
    row: name,
    against: name.describe('Id of the baseline with the best figure on the tuning split.'),
    column: count.describe('Index into `columns`.'),
    ...tested,
    seeds: count,
    rows: count,
    resamples: count,
    tuning: z
      .array(z.strictObject({ row: name, value: z.number() }).readonly())
      .readonly()
      .describe('Figures of the candidate baselines on the tuning split.'),
    declared: name.describe('The comparison, as it was declared before any test score was there.'),
    conclusion: name,
  })
  .readonly();

/** Where the journals (step rows, evaluations, samples) of one row's training lie. */
const journalPlaceSchema = z
  .strictObject({
    row: name,
    seed: count,
    folder: name.describe("Run folder, relative to the reproduction's folder."),
    stage: name,
  })
  .readonly();

export const tableFileSchema = z
  .strictObject({
    kind: z.literal('reproduction'),
    version: z.literal(1),
    table: name,
    profile: name,
    title: name,
    metric: name.describe('The main one, by which rows are ranked.'),
    protocol: z
      .array(name)
      .readonly()
      .describe('What is equal for all methods (tokens, tuning, seeds, decoding), a sentence each.'),
    seeds: z.array(count).readonly().describe('Training seeds.'),
    decoding_seeds: z.array(z.int()).readonly(),
    columns: z.array(columnSchema).readonly(),
    rows: z.array(rowSchema).readonly(),
    primary: primarySchema.nullable(),
    curves: z.array(journalPlaceSchema).readonly(),
    samples: z.array(journalPlaceSchema).readonly(),
    warnings: z.array(name).readonly(),
  })
  .superRefine((table, context) => {
    for (const message of inconsistencies(table)) context.addIssue({ code: 'custom', message });
  })
  .readonly();

export type TableFile = z.infer<typeof tableFileSchema>;
export type TableColumn = z.infer<typeof columnSchema>;
export type TableRow = z.infer<typeof rowSchema>;
export type TableCell = z.infer<typeof cellSchema>;
export type ReferenceNumber = z.infer<typeof referenceNumberSchema>;
export type Verdict = TableCell['verdict'];
export type PrimaryComparison = z.infer<typeof primarySchema>;
export type JournalPlace = z.infer<typeof journalPlaceSchema>;

interface References {
  readonly columns: readonly TableColumn[];
  readonly rows: readonly TableRow[];
  readonly primary: PrimaryComparison | null;
  readonly curves: readonly JournalPlace[];
  readonly samples: readonly JournalPlace[];
}

/** Names and numbers that point nowhere: a report would leave them out in silence. */
function inconsistencies({ columns, rows, primary, curves, samples }: References): string[] {
  const ids = new Set(rows.map((row) => row.id));
  const named = [
    ...rows.flatMap(({ cells }) => cells.flatMap((cell) => cell?.comparison?.against ?? [])),
    ...(primary === null ? [] : [primary.row, primary.against]),
    ...[...curves, ...samples].map(({ row }) => row),
  ];
  return [
    ...(ids.size === rows.length ? [] : ['two rows have one id']),
    ...rows
      .filter(({ cells }) => cells.length !== columns.length)
      .map(({ id, cells }) => `row ${id} has ${cells.length} cells for ${columns.length} columns`),
    ...[...new Set(named)].filter((id) => !ids.has(id)).map((id) => `there is no row ${id}`),
    ...(primary === null || primary.column < columns.length ? [] : [`there is no column ${primary.column}`]),
  ];
}

/** A table that cannot be read or must not be written. */
export class TableFileError extends AmmdError {
  readonly code = 'table_file';
}

/**
 * Writes the table into a reproduction's folder, atomically.
 *
 * @throws {TableFileError} the table could not be read back (a figure that is not finite, an unknown row)
 */
export function writeTable(folder: string, table: TableFile): void {
  const checked = tableFileSchema.safeParse(table);
  if (!checked.success) {
    throw new TableFileError(`table not written: ${z.prettifyError(checked.error)}`);
  }
  writeJsonAtomic(join(folder, TABLE_FILE), checked.data);
}

/** @throws {TableFileError} there is no table in the folder, or it is damaged or of another version */
export function readTable(folder: string): TableFile {
  const file = join(folder, TABLE_FILE);
  const hint = 'Run `ammd reproduce` again: finished stages are not repeated, and it writes the table anew.';
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new TableFileError(`cannot read ${file}`, { cause, hint });
  }
  const checked = tableFileSchema.safeParse(value);
  if (!checked.success) {
    throw new TableFileError(`${file}: ${z.prettifyError(checked.error)}`, { hint });
  }
  return checked.data;
}
