import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { packageRoot } from './files.js';
import { stageReference } from './schema/models.js';
import { profile, row as profileRow, table } from './schema/reproduce.js';
import { sweep } from './schema/sweep.js';
import {
  dataset,
  method,
  model,
  optimizer,
  run,
  sampling,
  schedule,
  simpleSchedule,
  stage,
} from './schema.js';
import { describe, type Shape, shapes } from './shape.js';

type Schema = z.core.$ZodType;

/** What the wrappers around a schema say: its default (absent: the key is required, or may be absent) and its meaning. */
interface Wrapping {
  readonly fallback: { readonly value: unknown } | null;
  readonly optional: boolean;
  readonly expanded: boolean;
  readonly meaning: string;
}

function unwrap(schema: Schema): Wrapping {
  const known = schema as z.core.$ZodTypes;
  const definition = known._zod.def;
  const own = z.globalRegistry.get(schema)?.description;
  const inner = 'innerType' in definition ? unwrap(definition.innerType) : null;
  return {
    fallback: definition.type === 'default' ? { value: definition.defaultValue } : (inner?.fallback ?? null),
    optional: definition.type === 'optional' || (inner?.optional ?? false),
    expanded: definition.type === 'prefault' || (inner?.expanded ?? false),
    meaning: own ?? inner?.meaning ?? '',
  };
}

const inner = (schema: Schema): Schema | undefined => shapes(schema)[0]?.schema;

/** Definition of the mapping inside the wrappers: the same object however often the schema was described. */
const definitionOf = (schema: Schema) => inner(schema)?._zod.def;

/** Mappings that occur in several places and are written out once. */
const SHARED: ReadonlyMap<unknown, string> = new Map([
  [definitionOf(optimizer), 'optimizer'],
  [definitionOf(sampling), 'sampling'],
  [definitionOf(method), 'method'],
  [definitionOf(dataset), 'dataset'],
  [definitionOf(model), 'model'],
  [definitionOf(stageReference), 'stage reference'],
  [definitionOf(stage), 'stage'],
  [definitionOf(table), 'table'],
  [definitionOf(profileRow), 'row'],
]);

const bare = (alternatives: readonly Shape[]) =>
  describe(alternatives.map((alternative) => ({ ...alternative, nullable: false })));

/** Schedules are recognised by what they allow: bounds make a new schema of each. */
const SCHEDULES: ReadonlyMap<string, string> = new Map([
  [bare(shapes(schedule)), '[schedule](#schedule)'],
  [bare(shapes(simpleSchedule)), '[schedule](#schedule) but sequence and adaptive'],
]);

function typeText(schema: Schema): string {
  const alternatives = shapes(schema);
  const scheduled = SCHEDULES.get(bare(alternatives));
  if (scheduled !== undefined)
    return alternatives.some(({ nullable }) => nullable) ? `${scheduled}, or null` : scheduled;
  const texts = alternatives.map((alternative) => {
    const definition = alternative.schema._zod.def;
    if (definition.type === 'record') return `mapping of names to ${typeText(definition.valueType)}`;
    const shared = SHARED.get(definition);
    if (shared !== undefined) return `[${shared}](#${shared.replaceAll(' ', '-')})`;
    return describe([{ ...alternative, nullable: false }]);
  });
  if (alternatives.some(({ nullable }) => nullable)) texts.push('null');
  return [...new Set(texts)].join(', or ');
}

function defaultText({ fallback, optional, expanded }: Wrapping): string {
  if (fallback === null) return optional ? 'absent' : expanded ? 'see there' : 'required';
  const { value } = fallback;
  const constant = z.object({ kind: z.literal('constant'), value: z.number() }).safeParse(value);
  return `\`${JSON.stringify(constant.success ? constant.data.value : value)}\``;
}

const row = (...cells: readonly string[]) =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

/** What the entries of a mapping of names or of a list are, and how a path to their keys is written. */
function entriesOf(
  schema: Schema,
): { readonly entry: Schema; readonly at: string; readonly type: string } | null {
  const definition = shapes(schema)[0]?.schema._zod.def;
  if (definition?.type === 'record')
    return { entry: definition.valueType, at: 'NAME.', type: 'mapping by name' };
  if (definition?.type === 'array') return { entry: definition.element, at: 'N.', type: 'list of mappings' };
  return null;
}

/** Rows of a mapping: its keys, and those of the mappings within it under dotted names. */
function rowsOf(schema: Schema, prefix = ''): readonly string[] {
  const definition = (schema as z.core.$ZodTypes)._zod.def;
  if (definition.type !== 'object') return [];
  return Object.entries(definition.shape).flatMap(([key, field]) => {
    const wrapping = unwrap(field);
    const entries = entriesOf(field);
    const below = entries?.entry ?? field;
    const single = shapes(below)[0]?.schema;
    const opens =
      single?._zod.def.type === 'object' && !SHARED.has(single._zod.def) && shapes(below).length === 1;
    const type = opens ? (entries?.type ?? 'mapping') : typeText(field);
    const shown = opens && entries === null && wrapping.expanded ? '' : defaultText(wrapping);
    const own = row(`\`${prefix}${key}\``, type, shown, wrapping.meaning);
    return opens ? [own, ...rowsOf(single, `${prefix}${key}.${entries?.at ?? ''}`)] : [own];
  });
}

function section(title: string, text: string, ...tables: readonly (Schema | undefined)[]): string {
  const rows = tables.flatMap((schema) => (schema === undefined ? [] : rowsOf(schema)));
  const head = [row('key', 'type', 'default', 'meaning; unit; origin'), '|---|---|---|---|'];
  return [`## ${title}`, '', text, '', ...head, ...rows, ''].join('\n');
}

function scheduleSection(): string {
  const kinds = shapes(schedule).map(({ schema }) => schema);
  const tables = kinds.map((schema) => {
    const [kind, ...rows] = rowsOf(schema);
    const head = [row('key', 'type', 'default', 'meaning; unit; origin'), '|---|---|---|---|'];
    return [...head, kind, ...rows, ''].join('\n');
  });
  const text =
    'A number stands for a constant. Schedules run on the steps of the student: critic warm-up does not count.';
  return ['## schedule', '', text, '', ...tables].join('\n');
}

/** The whole reference, as Markdown. */
export function reference(): string {
  const intro = [
    '# Configuration reference',
    '',
    'Generated from the schemas by `npm run generate`; do not edit. How files are put together (extends, defaults,',
    '`--set`, paths) is in [README.md](README.md).',
    '',
    'Origin of a default: **P** the paper, **D** derived by us, **C** our choice, **R** the reference scripts of',
    'MiniLLM and DistiLLM, whose settings the instruction-following tables share.',
    '',
  ].join('\n');
  return [
    intro,
    section('run', 'Top of a run configuration.', inner(run)),
    section('dataset', 'An entry of `data`.', inner(dataset)),
    section('model', 'An entry of `models`, or written in place of a name.', inner(model)),
    section('stage reference', "In place of a model: an earlier stage's student.", inner(stageReference)),
    section('stage', 'An entry of `stages`.', inner(stage)),
    section('method', 'A file of `configs/methods`, or the `method` of a stage.', inner(method)),
    scheduleSection(),
    section('sweep', 'A file of `configs/sweeps`.', inner(sweep)),
    section('profile', 'A file of `configs/reproduce`.', inner(profile)),
    section('table', 'An entry of `tables` of a profile.', inner(table)),
    section('row', 'An entry of `rows` of a table.', inner(profileRow)),
    section('optimizer', 'AdamW.', inner(optimizer)),
    section('sampling', 'How tokens are drawn.', inner(sampling)),
  ].join('\n');
}

const FILE = join('configs', 'REFERENCE.md');

/** Writes the reference, or with --check says whether the file agrees with the schemas. @returns exit code */
export function main(args: readonly string[], root: string = packageRoot()): number {
  const file = join(root, FILE);
  const text = reference();
  if (!args.includes('--check')) {
    writeFileSync(file, text);
    return 0;
  }
  if (readFileSync(file, 'utf8') === text) return 0;
  process.stderr.write(`${FILE} does not agree with the schemas; run npm run generate\n`);
  return 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2));
