import { mean } from 'simple-statistics';
import { groupBy } from '../../metrics/aggregate.js';
import type { Series } from '../charts/series.js';
import { metricTitle } from '../formats/metric_titles.js';
import {
  formatCount,
  formatFigure,
  formatScore,
  formatSeconds,
  formatSigned,
} from '../formats/number_format.js';
import { type Cell, cell, column, NONE, type Table } from '../formats/table.js';
import type { StageData } from '../read/run.js';
import { meanOf } from '../read/step_history.js';
import { methodOf, teaches } from './compared_series.js';
import { type ComparisonResults, type Difference, ofDifferentRows, type Score } from './results.js';

const INTERVAL = '95 % percentile bootstrap interval over test rows, scores averaged over seeds';

const tableKey = ({ metric, decoding }: Score | Difference): string => JSON.stringify([metric, decoding]);

/** `Exact match, sampled`. */
export function measureTitle({ metric, decoding }: Pick<Score, 'metric' | 'decoding'>): string {
  return `${metricTitle(metric)}, ${decoding.replace('_', ' ')}`;
}

/** Scores by metric and way of decoding: what a table, and a row of charts, is made of. */
export function scoreSets({ scores }: ComparisonResults): (readonly Score[])[] {
  return [...groupBy(scores, tableKey).values()];
}

/** Series × datasets, one table per metric and way of decoding. */
export function groupScoreTables(results: ComparisonResults, series: readonly Series[]): Table[] {
  return scoreSets(results).map((scores) => scoreTable(scores, series));
}

function scoreTable(scores: readonly Score[], series: readonly Series[]): Table {
  const datasets = datasetsOf(scores, series);
  const [first] = scores;
  const forced = first?.decoding === 'teacher_forced';
  const shown = series.filter(({ name }) => scores.some((it) => it.series === name));
  const find = (name: string, dataset: string): Score | undefined =>
    scores.find((it) => it.series === name && it.dataset === dataset);
  const best = (dataset: string): number => {
    const own = shown.filter((it) => !teaches(it)).flatMap(({ name }) => find(name, dataset) ?? []);
    return own.length < 2 || forced || ofDifferentRows(own)
      ? Number.NaN
      : Math.max(...own.map((score) => score.mean));
  };
  const marks = new Map(datasets.map(({ dataset }) => [dataset, best(dataset)]));
  return {
    title: first === undefined ? '' : measureTitle(first),
    columns: [
      column('run'),
      column('method'),
      column('seeds', 'right'),
      ...datasets.map(({ title }) => column(title, 'right')),
    ],
    rows: shown.map((own) => [
      cell(own.name),
      cell(methodOf(own)),
      cell(String(Math.max(...scores.filter((it) => it.series === own.name).map((it) => it.values.length)))),
      ...datasets.map(({ dataset }) => {
        const score = find(own.name, dataset);
        return scoreCell(score, !teaches(own) && score?.mean === marks.get(dataset), forced);
      }),
    ]),
    note: scoreNote(scores, forced),
  };
}

function scoreCell(score: Score | undefined, strong: boolean, forced: boolean): Cell {
  if (score === undefined) return NONE;
  const format = forced ? formatFigure : formatScore;
  const { mean: value, sd, interval } = score;
  const text = format(value) + (sd === null ? '' : ` ± ${format(sd)}`);
  const detail = interval === null ? {} : { detail: `${format(interval.low)} to ${format(interval.high)}` };
  return { text, strong, ...detail };
}

function scoreNote(scores: readonly Score[], forced: boolean): string {
  const rows = [...new Set(scores.map((score) => String(score.rows)))].join(', ');
  const spread = scores.some(({ sd }) => sd !== null)
    ? ' ±: standard deviation over training seeds, decoding seeds averaged within.'
    : '';
  const best = forced ? ' In nats.' : ' The best student of each column is marked.';
  const mixed = [...groupBy(scores, ({ dataset }) => dataset)].flatMap(([name, own]) =>
    ofDifferentRows(own) ? [name] : [],
  );
  const warning =
    mixed.length === 0 ? '' : ` Not the same rows in all runs, so not to be compared: ${mixed.join(', ')}.`;
  return `In parentheses: ${INTERVAL}.${spread} ${rows} rows a set.${best}${warning}`;
}

/** In the order of the configurations, those that checkpoints are chosen on last. */
function datasetsOf(
  scores: readonly Score[],
  series: readonly Series[],
): { readonly dataset: string; readonly title: string }[] {
  const chosen = new Set(series.flatMap(({ members }) => members.map(({ validation }) => validation)));
  const datasets = [...new Set(scores.map(({ dataset }) => dataset))].map((dataset) => ({
    dataset,
    title: chosen.has(dataset) && dataset !== 'validation' ? `${dataset} (validation)` : dataset,
  }));
  const isChosen = ({ dataset }: { readonly dataset: string }): boolean => chosen.has(dataset);
  return [...datasets.filter((it) => !isChosen(it)), ...datasets.filter(isChosen)];
}

/** The last student minus each other series, one table per metric and way of decoding. */
export function groupDifferenceTables(results: ComparisonResults, series: readonly Series[]): Table[] {
  return [...groupBy(results.differences, tableKey).values()].flatMap((differences) => {
    const [first] = differences;
    return first === undefined ? [] : [differenceTable(first, differences, series)];
  });
}

function differenceTable(
  first: Difference,
  differences: readonly Difference[],
  series: readonly Series[],
): Table {
  const datasets = [...new Set(differences.map(({ dataset }) => dataset))];
  const others = series.filter(({ name }) => differences.some(({ against }) => against === name));
  const format = first.decoding === 'teacher_forced' ? formatFigure : formatScore;
  return {
    title: `${first.series} minus the others: ${measureTitle(first)}`,
    columns: [column('against'), ...datasets.map((dataset) => column(dataset, 'right'))],
    rows: others.map(({ name }) => [
      cell(name),
      ...datasets.map((dataset) => {
        const found = differences.find((it) => it.against === name && it.dataset === dataset);
        return found === undefined ? NONE : differenceCell(found, format);
      }),
    ]),
    note: differenceNote(differences),
  };
}

function differenceNote(differences: readonly Difference[]): string {
  const seeds = Math.max(...differences.map((it) => it.seeds));
  const over =
    seeds > 1
      ? `over test rows, and over the training seeds that both have (up to ${seeds}, hierarchical bootstrap) where they are two or more`
      : 'over test rows; it covers their choice, not that of training seeds';
  return `Paired by test row. In parentheses: 95 % percentile bootstrap interval ${over}. Marked: the interval does not hold 0.`;
}

/** A difference with its interval, marked where that does not hold 0. */
export function differenceCell(
  { difference, low, high }: Pick<Difference, 'difference' | 'low' | 'high'>,
  format: (value: number) => string,
): Cell {
  const [text, from, to] = [difference, low, high].map((value) => formatSigned(value, format));
  return { text: text ?? '', detail: `${from} to ${to}`, strong: low > 0 || high < 0 };
}

/** Tokens and time of each series, means over seeds. */
export function costTable({ training }: ComparisonResults): Table {
  return {
    title: 'Tokens and time',
    columns: [
      column('run'),
      ...['seeds', 'steps', 'tokens', 'responses', 'drawn', 'time', 'tokens/s'].map((label) =>
        column(label, 'right'),
      ),
    ],
    rows: training.map((it) => [
      cell(it.series),
      cell(String(it.seeds)),
      cell(formatFigure(it.steps)),
      ...[it.tokens, it.response_tokens, it.drawn_tokens].map((count) =>
        count === 0 ? NONE : cell(formatCount(count)),
      ),
      cell(formatSeconds(it.seconds)),
      it.seconds > 0 ? cell(formatCount(it.tokens / it.seconds)) : NONE,
    ]),
    note: 'Means over seeds. tokens: trained on, prompts and responses; responses: those of responses; drawn: generated for training. Time of the optimizer steps alone.',
  };
}

/** What tells how the game went, in the order of the table; a metric's name is its column's. */
const DIAGNOSTICS: readonly RegExp[] = [
  /^critic\/.*\/tightness$/,
  /^d_/,
  /^tv_/,
  /^forward_kl_/,
  /^reverse_kl_/,
  /^student_entropy_/,
  /^rollout\/(length|eos_rate)$/,
];

/** Means over the last tenth of the steps, then over seeds. Undefined where nothing of it was logged. */
export function diagnosticsTable(series: readonly Series[]): Table | undefined {
  const stages = series.flatMap(({ members }) => members);
  const names = [...new Set(stages.flatMap(({ steps }) => steps.names))];
  const columns = DIAGNOSTICS.flatMap((rule) => names.filter((name) => rule.test(name)).sort());
  const rows = series
    .map(({ name, members }) => [cell(name), ...columns.map((metric) => atTheEnd(members, metric))])
    .filter(([, ...figures]) => figures.some((it) => it !== NONE));
  if (columns.length === 0 || rows.length === 0) return undefined;
  return {
    title: 'At the end of training',
    columns: [column('run'), ...columns.map((name) => column(name, 'right'))],
    rows,
    note: 'Means over the last tenth of the steps, then over seeds. tightness: moment gap over its largest possible value. d: sum of moment gaps over a response. Divergences and entropy per token, in nats; tv between 0 and 1.',
  };
}

function atTheEnd(members: readonly StageData[], metric: string): Cell {
  const means = members.flatMap(({ steps }) => {
    const spans = [...steps.metric(metric).spans.values()].filter(({ step }) => step > steps.last * 0.9);
    return spans.length === 0 ? [] : [meanOf(spans)];
  });
  return means.length === 0 ? NONE : cell(formatFigure(mean(means)));
}
