import { groupBy, modelName, type Summary } from '../../metrics/aggregate.js';
import type { Comparison } from '../../metrics/paired.js';
import { metricTitle } from '../formats/metric_titles.js';
import {
  formatCount,
  formatFigure,
  formatScore,
  formatSeconds,
  formatSigned,
} from '../formats/number_format.js';
import { type Cell, cell, column, NONE, type Table } from '../formats/table.js';
import type { Results, StageResults } from './results.js';

/** Models × datasets, one table per metric of generated responses. */
export function scoreTables(results: Results): Table[] {
  const generated = results.evaluations.filter((summary) => summary.decoding !== 'teacher_forced');
  return [...groupBy(generated, (summary) => summary.metric)].map(([metric, summaries]) =>
    scoreTable(results, metric, summaries),
  );
}

function scoreTable(results: Results, metric: string, summaries: readonly Summary[]): Table {
  const datasets = testsFirst(results, summaries);
  const models = [...groupBy(summaries, modelName)];
  const students = models.filter(([name]) =>
    results.stages.some((stage) => stage.name === name && !stage.teaches),
  );
  const isBest = (name: string, dataset: string): boolean => {
    const means = students.map(([, rows]) => mainScore(rows, dataset)?.mean ?? Number.NEGATIVE_INFINITY);
    const best = Math.max(...means);
    const own = means[students.findIndex(([student]) => student === name)];
    return own === best && means.some((mean) => mean < best);
  };
  return {
    title: metricTitle(metric),
    columns: [...modelColumns, ...datasets.map((dataset) => right(datasetTitle(results, dataset)))],
    rows: models.map(([name, rows]) => [
      ...modelCells(results, name, rows),
      ...datasets.map((dataset) => {
        const score = mainScore(rows, dataset);
        const greedy = rows.find((row) => row.dataset === dataset && row.decoding === 'greedy');
        return scoreCell(score, greedy, isBest(name, dataset));
      }),
    ]),
    note: scoreNote(students.length, summaries),
  };
}

function mainScore(rows: readonly Summary[], dataset: string): Summary | undefined {
  const here = rows.filter((row) => row.dataset === dataset);
  return here.find((row) => row.decoding === 'sampled') ?? here.find((row) => row.decoding === 'greedy');
}

/** Datasets in the order of the config, those that checkpoints are chosen on last. */
export function testsFirst(results: Results, summaries: readonly Summary[]): string[] {
  const datasets = unique(summaries.map((summary) => summary.dataset));
  const chosenOn = (dataset: string): boolean => results.validation.includes(dataset);
  return [...datasets.filter((dataset) => !chosenOn(dataset)), ...datasets.filter(chosenOn)];
}

function datasetTitle({ validation }: Results, dataset: string): string {
  return validation.includes(dataset) && dataset !== 'validation' ? `${dataset} (validation)` : dataset;
}

function scoreCell(score: Summary | undefined, greedy: Summary | undefined, strong: boolean): Cell {
  if (score === undefined) return NONE;
  const text = formatScore(score.mean) + (score.sd === null ? '' : ` ± ${formatScore(score.sd)}`);
  const detail = greedy === undefined || greedy === score ? {} : { detail: formatScore(greedy.mean) };
  return { text, strong, ...detail };
}

function scoreNote(students: number, summaries: readonly Summary[]): string {
  const seeds = Math.max(
    0,
    ...summaries.filter(({ decoding }) => decoding === 'sampled').map((it) => it.seeds),
  );
  const greedy = summaries.some((summary) => summary.decoding === 'greedy');
  const rows = unique(summaries.map((summary) => String(summary.rows))).join(', ');
  const sampled =
    seeds > 1 ? `Sampled, mean ± standard deviation over ${seeds} decoding seeds` : 'Sampled, one seed';
  const how =
    seeds === 0 ? 'Greedy decoding' : greedy ? `${sampled}; greedy decoding in parentheses` : sampled;
  const best = students > 1 ? ' The best student of each column is marked.' : '';
  return `${how}. ${rows} rows a set.${best} The spread is of decoding seeds, not of training seeds.`;
}

/** Models × teacher-forced metrics, one table per dataset. */
export function measureTables(results: Results): Table[] {
  const measured = results.evaluations.filter((summary) => summary.decoding === 'teacher_forced');
  return [...groupBy(measured, (summary) => summary.dataset)].map(([dataset, summaries]) => {
    const metrics = unique(summaries.map((summary) => summary.metric));
    return {
      title: `On the responses of ${dataset}`,
      columns: [...modelColumns, ...metrics.map((metric) => right(metricTitle(metric)))],
      rows: [...groupBy(summaries, modelName)].map(([name, rows]) => [
        ...modelCells(results, name, rows),
        ...metrics.map((metric) => {
          const found = rows.find((row) => row.metric === metric);
          return found === undefined ? NONE : cell(formatFigure(found.mean));
        }),
      ]),
      note: `Teacher forcing, mean over rows of the mean per response token, in nats; ${summaries[0]?.rows ?? 0} rows.`,
    };
  });
}

/** The last exported model minus each other one, one table per metric and decoding. */
export function comparisonTables(results: Results): Table[] {
  const groups = groupBy(results.comparisons, (it) => JSON.stringify([it.metric, it.decoding]));
  return [...groups.values()].flatMap((comparisons) => {
    const [first] = comparisons;
    return first === undefined ? [] : [comparisonTable(results, first, comparisons)];
  });
}

function comparisonTable(
  results: Results,
  { model, metric, decoding }: Comparison,
  comparisons: readonly Comparison[],
): Table {
  const datasets = unique(comparisons.map((comparison) => comparison.dataset));
  const forced = decoding === 'teacher_forced';
  return {
    title: `${model} minus the others: ${metricTitle(metric)}, ${decoding.replace('_', ' ')}`,
    columns: [left('against'), ...datasets.map((dataset) => right(datasetTitle(results, dataset)))],
    rows: unique(comparisons.map((comparison) => comparison.against)).map((against) => [
      cell(against),
      ...datasets.map((dataset) =>
        differenceCell(
          comparisons.find((it) => it.against === against && it.dataset === dataset),
          forced ? (value) => formatSigned(value, formatFigure) : (value) => formatSigned(value, formatScore),
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
  return {
    title: 'Training',
    columns: [
      ...modelColumns,
      right('steps'),
      right('tokens'),
      right('responses'),
      right('drawn'),
      right('time'),
      right('tokens/s'),
      right('generated/s'),
      right('wire and idle'),
    ],
    rows: results.stages.map((stage) => [
      cell(stage.name),
      methodCell(stage),
      cell(`${stage.steps}${stage.done || stage.steps === 0 ? '' : ' so far'}`),
      ...[stage.tokens, stage.response_tokens, stage.drawn_tokens].map((count) =>
        count === 0 ? NONE : cell(formatCount(count)),
      ),
      stage.steps === 0 ? NONE : cell(formatSeconds(stage.seconds)),
      stage.tokens_per_second === null ? NONE : cell(formatCount(stage.tokens_per_second)),
      stage.generated_per_second === null ? NONE : cell(formatCount(stage.generated_per_second)),
      overheadCell(stage),
    ]),
    note: 'tokens: trained on, prompts and responses; responses: those of responses; drawn: generated for training. Time of the optimizer steps alone, without loading, evaluation and export. tokens/s: prompts and responses trained on, per second of it. generated/s: tokens drawn, per second of generation.',
  };
}

function overheadCell({ seconds_by_phase: { wire, idle, total } }: StageResults): Cell {
  return total > 0 ? cell(`${((100 * (wire + idle)) / total).toFixed(1)} %`) : NONE;
}

const left = (label: string) => column(label);
const right = (label: string) => column(label, 'right');
const modelColumns = [left('stage'), left('method')];

function modelCells(results: Results, name: string, rows: readonly Summary[]): Cell[] {
  const stage = results.stages.find((it) => it.name === rows[0]?.stage);
  return [cell(name), methodCell(stage)];
}

function methodCell(stage: StageResults | undefined): Cell {
  return cell(`${stage?.method ?? '–'}${stage?.teaches === true ? ' (teacher)' : ''}`);
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
