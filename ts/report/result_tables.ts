import { groupBy, type Summary } from '../metrics/aggregate.js';
import type { Comparison } from '../metrics/paired.js';
import { formatCount, formatDifference, formatFigure, formatSeconds } from './figures.js';
import type { Results, StageResults } from './results.js';
import { type Cell, cell, type Table } from './table.js';

const NONE = cell('–');

/** How a metric is called in headings; others by their name with spaces. */
const METRIC_TITLES: Readonly<Record<string, string>> = {
  exact_match: 'Exact match',
  rouge_l: 'ROUGE-L',
  cross_entropy: 'cross-entropy',
  forward_kl: 'KL(teacher‖student)',
  reverse_kl: 'KL(student‖teacher)',
  tvd: 'total variation',
};

export function metricTitle(metric: string): string {
  return METRIC_TITLES[metric] ?? metric.replaceAll('_', ' ');
}

/** Stages × test sets, one table per metric of generated responses. */
export function scoreTables(results: Results): Table[] {
  const generated = results.evaluations.filter((summary) => summary.decoding !== 'teacher_forced');
  return [...groupBy(generated, (summary) => summary.metric)].map(([metric, summaries]) =>
    scoreTable(results, metric, summaries),
  );
}

function scoreTable(results: Results, metric: string, summaries: readonly Summary[]): Table {
  const datasets = unique(summaries.map((summary) => summary.dataset));
  const find = (stage: string, dataset: string, decoding: Summary['decoding']): Summary | undefined =>
    summaries.find((it) => it.stage === stage && it.dataset === dataset && it.decoding === decoding);
  const students = results.stages.filter((stage) => !stage.teaches);
  const bestOf = (dataset: string): number =>
    Math.max(...students.map((stage) => main(find, stage.name, dataset)?.mean ?? Number.NEGATIVE_INFINITY));
  const rows = results.stages.filter((stage) => summaries.some((summary) => summary.stage === stage.name));
  const seeds = Math.max(...summaries.map((summary) => (summary.decoding === 'sampled' ? summary.seeds : 0)));
  return {
    title: metricTitle(metric),
    columns: [...stageColumns, ...datasets.map((label) => ({ label, align: 'right' as const }))],
    rows: rows.map((stage) => [
      ...stageCells(stage),
      ...datasets.map((dataset) => {
        const score = main(find, stage.name, dataset);
        const strong = !stage.teaches && students.length > 1 && score?.mean === bestOf(dataset);
        return scoreCell(score, find(stage.name, dataset, 'greedy'), strong);
      }),
    ]),
    note: scoreNote(students.length, seeds, summaries),
  };
}

type Find = (stage: string, dataset: string, decoding: Summary['decoding']) => Summary | undefined;

function main(find: Find, stage: string, dataset: string): Summary | undefined {
  return find(stage, dataset, 'sampled') ?? find(stage, dataset, 'greedy');
}

function scoreCell(score: Summary | undefined, greedy: Summary | undefined, strong: boolean): Cell {
  if (score === undefined) return NONE;
  const text = score.mean.toFixed(1) + (score.sd === null ? '' : ` ± ${score.sd.toFixed(1)}`);
  const detail = greedy === undefined || greedy === score ? {} : { detail: greedy.mean.toFixed(1) };
  return { text, strong, ...detail };
}

function scoreNote(students: number, seeds: number, summaries: readonly Summary[]): string {
  const greedy = summaries.some((summary) => summary.decoding === 'greedy');
  const rows = unique(summaries.map((summary) => String(summary.rows))).join(', ');
  const sampled =
    seeds > 1 ? `Sampled, mean ± standard deviation over ${seeds} decoding seeds` : 'Sampled, one seed';
  const best = students > 1 ? ' The best student of each column is marked.' : '';
  const how =
    seeds === 0 ? 'Greedy decoding' : greedy ? `${sampled}; greedy decoding in parentheses` : sampled;
  return `${how}. ${rows} rows a set.${best} The spread is of decoding seeds, not of training seeds.`;
}

/** Stages × teacher-forced metrics, one table per dataset. */
export function measureTables(results: Results): Table[] {
  const measured = results.evaluations.filter((summary) => summary.decoding === 'teacher_forced');
  return [...groupBy(measured, (summary) => summary.dataset)].map(([dataset, summaries]) => {
    const metrics = unique(summaries.map((summary) => summary.metric));
    const rows = results.stages.filter((stage) => summaries.some((summary) => summary.stage === stage.name));
    return {
      title: `On the responses of ${dataset}`,
      columns: [
        ...stageColumns,
        ...metrics.map((it) => ({ label: metricTitle(it), align: 'right' as const })),
      ],
      rows: rows.map((stage) => [
        ...stageCells(stage),
        ...metrics.map((metric) => {
          const found = summaries.find((it) => it.stage === stage.name && it.metric === metric);
          return found === undefined ? NONE : cell(formatFigure(found.mean));
        }),
      ]),
      note: `Teacher forcing, mean over rows of the mean per response token, in nats; ${summaries[0]?.rows ?? 0} rows.`,
    };
  });
}

/** The last stage minus each other one, one table per metric and decoding. */
export function comparisonTables(results: Results): Table[] {
  const groups = groupBy(results.comparisons, (it) => JSON.stringify([it.metric, it.decoding]));
  return [...groups.values()].flatMap((comparisons) => {
    const [first] = comparisons;
    return first === undefined ? [] : [comparisonTable(first, comparisons)];
  });
}

function comparisonTable({ stage, metric, decoding }: Comparison, comparisons: readonly Comparison[]): Table {
  const datasets = unique(comparisons.map((comparison) => comparison.dataset));
  const forced = decoding === 'teacher_forced';
  return {
    title: `${stage} minus the others: ${metricTitle(metric)}, ${decoding.replace('_', ' ')}`,
    columns: [
      { label: 'against', align: 'left' },
      ...datasets.map((label) => ({ label, align: 'right' as const })),
    ],
    rows: unique(comparisons.map((comparison) => comparison.against)).map((against) => [
      cell(against),
      ...datasets.map((dataset) =>
        differenceCell(
          comparisons.find((it) => it.against === against && it.dataset === dataset),
          forced ? formatFigure : formatDifference,
        ),
      ),
    ]),
    note: 'Paired by test row, scores averaged over decoding seeds; in parentheses: 95 % percentile bootstrap interval over rows. Marked: the interval does not hold 0.',
  };
}

function differenceCell(found: Comparison | undefined, format: (value: number) => string): Cell {
  if (found === undefined) return NONE;
  const { difference, low, high } = found;
  return {
    text: format(difference),
    detail: `${format(low)} to ${format(high)}`,
    strong: low > 0 || high < 0,
  };
}

/** Steps, time and speed of each stage. */
export function trainingTable(results: Results): Table {
  const right = (label: string) => ({ label, align: 'right' as const });
  return {
    title: 'Training',
    columns: [
      ...stageColumns,
      right('steps'),
      right('time'),
      right('tokens/s'),
      right('generated/s'),
      right('wire and idle'),
    ],
    rows: results.stages.map((stage) => [
      ...stageCells(stage),
      cell(`${stage.steps}${stage.done || stage.steps === 0 ? '' : ' so far'}`),
      stage.steps === 0 ? NONE : cell(formatSeconds(stage.seconds)),
      stage.tokens_per_second === null ? NONE : cell(formatCount(stage.tokens_per_second)),
      stage.generated_per_second === null ? NONE : cell(formatCount(stage.generated_per_second)),
      overheadCell(stage),
    ]),
    note: 'Time of the optimizer steps alone, without loading, evaluation and export. tokens/s: prompts and responses trained on, per second of it. generated/s: tokens drawn, per second of generation.',
  };
}

function overheadCell({ seconds_by_phase: { wire, idle, total } }: StageResults): Cell {
  return total > 0 ? cell(`${((100 * (wire + idle)) / total).toFixed(1)} %`) : NONE;
}

const stageColumns = [
  { label: 'stage', align: 'left' },
  { label: 'method', align: 'left' },
] as const;

function stageCells(stage: StageResults): Cell[] {
  return [cell(stage.name), cell(`${stage.method ?? '–'}${stage.teaches ? ' (teacher)' : ''}`)];
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
