import { counted } from '../../common/counted.js';
import { groupBy } from '../../metrics/aggregate.js';
import type { TableCell, TableFile, TableRow } from '../../metrics/table_file.js';
import { FEWEST_SEEDS } from '../../metrics/tested_difference.js';
import { metricTitle } from '../formats/metric_titles.js';
import {
  formatCount,
  formatFigure,
  formatProbability,
  formatScore,
  formatSigned,
} from '../formats/number_format.js';
import { type Cell, cell, column, NONE, type Table } from '../formats/table.js';
import { verdictNote, verdictTables } from './verdict_tables.js';

/** Columns of one metric under one decoding, which stand side by side. */
interface Group {
  /** Indices into the file's columns. */
  readonly columns: readonly number[];
  readonly title: string;
  readonly format: (value: number) => string;
  readonly lessIsBetter: boolean;
  readonly sampled: boolean;
}

function groupsOf({ columns }: TableFile): Group[] {
  const indexed = columns.map(({ metric, decoding }, at) => ({ metric, decoding, at }));
  return [...groupBy(indexed, ({ metric, decoding }) => JSON.stringify([metric, decoding])).values()].flatMap(
    (members) => {
      const [first] = members;
      if (first === undefined) return [];
      const forced = first.decoding === 'teacher_forced';
      return {
        columns: members.map(({ at }) => at),
        title: `${metricTitle(first.metric)}, ${first.decoding.replace('_', ' ')}`,
        format: forced ? formatFigure : formatScore,
        lessIsBetter: forced,
        sampled: first.decoding === 'sampled',
      };
    },
  );
}

/** The tables of a reproduction: scores, differences from the row that is compared, verdicts on the reference numbers. */
export function reproductionTables(file: TableFile): Table[] {
  const groups = groupsOf(file);
  const compared = file.rows.some(({ cells }) => cells.some((one) => one?.comparison != null));
  return [
    ...groups.map((group) => scoreTable(file, group)),
    ...(compared ? groups.map((group) => differenceTable(file, group)) : []),
    ...verdictTables(file),
  ];
}

/** Sets by name: metric and decoding stand in the table's title. */
const headings = ({ columns }: TableFile, group: Group) => [
  column('row'),
  ...group.columns.map((at) => column(columns[at]?.dataset ?? '', 'right')),
];

function scoreTable(file: TableFile, group: Group): Table {
  const best = new Map(group.columns.map((at) => [at, bestMean(file.rows, at, group.lessIsBetter)]));
  return {
    title: `${file.title}: ${group.title}`,
    columns: headings(file, group),
    rows: file.rows.map((row) => [
      cell(row.label),
      ...group.columns.map((at) => {
        const one = row.cells[at] ?? null;
        return one === null
          ? NONE
          : scoreCell(one, group, mark(file, at, one), row.group !== 'teacher' && one.mean === best.get(at));
      }),
    ]),
    note: scoreNote(file, group),
  };
}

/** Best mean of the students in a column; undefined where all are equal, or there is one. */
function bestMean(rows: readonly TableRow[], at: number, lessIsBetter: boolean): number | undefined {
  const means = rows.flatMap(({ group, cells }) => (group === 'teacher' ? [] : (cells[at]?.mean ?? [])));
  const [least, most] = [Math.min(...means), Math.max(...means)];
  if (least >= most) return undefined;
  return lessIsBetter ? least : most;
}

function scoreCell(one: TableCell, { format }: Group, marked: string, strong: boolean): Cell {
  const { mean, sd, reference } = one;
  const spread = sd === null ? '' : ` ± ${format(sd)}`;
  const text = `${format(mean)}${spread}${marked}`;
  return { text, strong, ...(reference === null ? {} : { detail: String(reference.value) }) };
}

/** † differs after Holm's correction, ‡ in the primary comparison, which needs none; of few seeds neither. */
function mark(file: TableFile, at: number, one: TableCell): string {
  const { comparison } = one;
  if (comparison === null || (comparison.p_holm ?? comparison.p) >= 0.05 || ofFewSeeds(file, at, one))
    return '';
  return comparison.p_holm === null ? '‡' : '†';
}

/** Whether too few training seeds are both the cell's and those of what it is compared with. */
function ofFewSeeds({ rows }: TableFile, at: number, { seeds, comparison }: TableCell): boolean {
  if (comparison === null) return false;
  const other = rows.find(({ id }) => id === comparison.against)?.cells[at];
  return seeds.filter((seed) => other?.seeds.includes(seed)).length < FEWEST_SEEDS;
}

function scoreNote(file: TableFile, { columns, sampled }: Group): string {
  const { rows, seeds, decoding_seeds: decoding } = file;
  const placed = rows.flatMap((row) =>
    columns.flatMap((at) => {
      const one = row.cells[at] ?? null;
      return one === null ? [] : [{ at, one }];
    }),
  );
  const against = labelOf(file, comparedWith(file));
  const marks = placed.map(({ at, one }) => mark(file, at, one));
  const within = sampled ? `, decoding seeds ${decoding.join(', ')} averaged within` : '';
  return [
    `Mean ± standard deviation over ${counted(seeds.length, 'training seed')}${within}.`,
    ...otherSeeds(file),
    'The best student of each column is marked.',
    ...(marks.includes('†')
      ? [`† differs from ${against} at 0.05 after Holm’s correction for ${corrected(file)} comparisons.`]
      : []),
    ...(marks.includes('‡') ? [`‡ differs from ${against} at 0.05 in the declared primary comparison.`] : []),
    ...(placed.some(({ at, one }) => ofFewSeeds(file, at, one))
      ? [`Differences over fewer than ${FEWEST_SEEDS} training seeds are not marked.`]
      : []),
    ...(placed.some(({ one }) => one.reference !== null) ? ['In parentheses: the reference number.'] : []),
    ...budget(rows),
    ...verdictNote(file),
  ].join(' ');
}

/** Rows whose number of training seeds is not the table's. */
function otherSeeds({ rows, seeds }: TableFile): string[] {
  const others = rows.flatMap(({ label, cells }) => {
    const counts = cells.flatMap((one) => one?.seeds.length ?? []);
    const fewest = Math.min(...counts);
    return counts.length > 0 && fewest !== seeds.length ? [`${label} ${fewest}`] : [];
  });
  return others.length === 0 ? [] : [`Other numbers of seeds: ${others.join(', ')}.`];
}

/** Tokens and tuning of the methods, which a fair comparison has equal. */
function budget(rows: readonly TableRow[]): string[] {
  const methods = rows.filter(({ group }) => group === 'baseline' || group === 'ours');
  const range = (values: readonly number[]): string => {
    const [least, most] = [formatCount(Math.min(...values)), formatCount(Math.max(...values))];
    return least === most ? least : `${least} to ${most}`;
  };
  const tokens = methods.flatMap((row) => row.tokens ?? []);
  const trials = methods.flatMap((row) => row.tuning_trials ?? []);
  return [
    ...(tokens.length === 0 ? [] : [`Each student was trained on ${range(tokens)} response tokens.`]),
    ...(trials.length === 0 ? [] : [`Settings tried for each method: ${range(trials)}.`]),
  ];
}

function comparedWith({ rows }: TableFile): string {
  const [first] = rows.flatMap(({ cells }) => cells.flatMap((one) => one?.comparison?.against ?? []));
  return first ?? '';
}

const labelOf = ({ rows }: TableFile, id: string): string => rows.find((row) => row.id === id)?.label ?? id;

const corrected = ({ rows }: TableFile): number =>
  rows.flatMap(({ cells }) => cells.filter((one) => one?.comparison?.p_holm != null)).length;

function differenceTable(file: TableFile, group: Group): Table {
  const against = comparedWith(file);
  return {
    title: `Difference from ${labelOf(file, against)}: ${group.title}`,
    columns: headings(file, group),
    rows: file.rows
      .filter(({ cells }) => group.columns.some((at) => cells[at]?.comparison != null))
      .map(({ label, cells }) => [
        cell(label),
        ...group.columns.map((at) => {
          const one = cells[at] ?? null;
          return one === null ? NONE : differenceCell(one, group, mark(file, at, one) !== '');
        }),
      ]),
    note:
      'Paired by training seed and test row. In parentheses: 95 % interval of a hierarchical bootstrap over both, and the ' +
      'p value, the larger of that bootstrap’s and of a paired t-test over seeds, after Holm’s correction for ' +
      `${corrected(file)} comparisons; marked below 0.05, from ${FEWEST_SEEDS} training seeds on. ‡ the declared primary ` +
      'comparison, not corrected.',
  };
}

function differenceCell({ comparison }: TableCell, { format }: Group, strong: boolean): Cell {
  if (comparison === null) return NONE;
  const { difference, low, high, p, p_holm } = comparison;
  const signed = (value: number): string => formatSigned(value, format);
  return {
    text: `${signed(difference)}${p_holm === null ? '‡' : ''}`,
    detail: `${signed(low)} to ${signed(high)}, ${formatProbability(p_holm ?? p)}`,
    strong,
  };
}
