import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { configError } from '../config/errors.js';
import { packageRoot } from '../config/files.js';
import type { ReferenceNumber } from '../metrics/table_file.js';

const name = z.string().min(1);

const statedSchema = z
  .union([z.number(), z.strictObject({ value: z.number(), sd: z.number().nonnegative() }).readonly()])
  .nullable();

const numbersSchema = z
  .strictObject({
    family: z.enum(['openllama', 'gpt2', 't5']),
    student: name.describe('Size as the source names it.'),
    source: name,
    datasets: z.record(name, name).readonly().describe('Metric by dataset, in the order of the numbers.'),
    rows: z.record(name, z.array(statedSchema).readonly()).readonly().describe('By method.'),
  })
  .refine(
    ({ datasets, rows }) =>
      Object.values(rows).every((numbers) => numbers.length === Object.keys(datasets).length),
    'a row has more or fewer numbers than there are datasets',
  )
  .readonly();

/** Reference numbers by source; where two state one, the table that comes first is taken. */
export const referencesSchema = z
  .strictObject({
    sources: z.record(name, name).readonly().describe('In words, by the name that tables use.'),
    tables: z.array(numbersSchema).readonly(),
  })
  .refine(
    ({ sources, tables }) => tables.every(({ source }) => Object.hasOwn(sources, source)),
    'a table names a source that is not among the sources',
  )
  .readonly();

export type References = z.infer<typeof referencesSchema>;

/** What a reference number is of. */
export interface ReferenceKey {
  readonly family: string;
  /** Size; null for whichever has the number. */
  readonly student: string | null;
  /** As the source's tables name it: `ammd` is the paper's method. */
  readonly method: string;
  readonly dataset: string;
  readonly metric: string;
}

/**
 * The numbers that come with the package.
 *
 * @throws {ConfigError} the file is missing or damaged
 */
export function readReferences(
  file: string = join(packageRoot(), 'configs', 'reproduce', 'reference', 'literature.yaml'),
): References {
  let value: unknown;
  try {
    value = parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw configError(`cannot read ${file}; install the package again`, null, '', cause);
  }
  const checked = referencesSchema.safeParse(value);
  if (!checked.success) throw configError(`${file}: ${z.prettifyError(checked.error)}`);
  return checked.data;
}

/** The first number stated for `key`, or null where nobody states one. */
export function referenceNumber(references: References, key: ReferenceKey): ReferenceNumber | null {
  const { family, student } = key;
  for (const table of references.tables) {
    if (table.family !== family || (student !== null && table.student !== student)) continue;
    if (table.datasets[key.dataset] !== key.metric) continue;
    const stated = table.rows[key.method]?.[Object.keys(table.datasets).indexOf(key.dataset)] ?? null;
    if (stated === null) continue;
    const { value, sd } = typeof stated === 'number' ? { value: stated, sd: null } : stated;
    return { value, sd, source: references.sources[table.source] ?? table.source };
  }
  return null;
}
