import { counted } from '../../common/counted.js';
import { phaseChart, scoreChart } from '../charts/bar_charts.js';
import type { Chart } from '../charts/chart.js';
import { figure } from '../charts/chart_frame.js';
import { type Series, seriesOfStages } from '../charts/series.js';
import { html } from '../formats/markup.js';
import { metricTitle } from '../formats/metric_titles.js';
import { formatSeconds } from '../formats/number_format.js';
import { tableMarkup } from '../formats/table_markup.js';
import { curveSection } from '../page/curve_section.js';
import { generationsOf, sampleSection } from '../page/samples.js';
import type { Section } from '../page/section.js';
import { settingsSection } from '../page/settings.js';
import type { RunData } from '../read/run.js';
import { comparisonTables, measureTables, scoreTables, testsFirst, trainingTable } from './result_tables.js';
import type { Results } from './results.js';

/** What the page of one run shows, in order. */
export function runSections(run: RunData, results: Results): Section[] {
  const series = seriesOfStages(run.stages);
  const teaches = ({ members }: Series): boolean => members.some((stage) => stage.teaches);
  return [
    resultsSection(series, results),
    curveSection(
      series.filter((it) => !teaches(it)),
      series.filter(teaches),
      'Curves of the teacher',
    ),
    timeSection(results),
    sampleSection(generationsOf(run, ({ name }) => name)),
    settingsSection(run),
  ].filter((section) => section !== undefined);
}

export function runHeadline(run: RunData, results: Results): string {
  const done = run.stages.filter((stage) => stage.done).length;
  const seconds = results.stages.reduce((sum, stage) => sum + stage.seconds, 0);
  const state =
    done === run.stages.length ? 'all stages done' : `${done} of ${counted(run.stages.length, 'stage')} done`;
  return `${counted(run.stages.length, 'stage')}, ${state}; ${formatSeconds(seconds)} of training steps.`;
}

function resultsSection(series: readonly Series[], results: Results): Section | undefined {
  if (results.evaluations.length === 0) return undefined;
  const [scores, ...moreScores] = scoreTables(results);
  const [comparison, ...moreComparisons] = comparisonTables(results);
  const charts = scores === undefined ? [] : [mainScores(series, results)];
  const main = scores === undefined ? [] : [tableMarkup(scores), charts.map((it) => figure(it, 'wide'))];
  const further = [...moreScores, ...measureTables(results)].map(tableMarkup);
  const more = moreComparisons.map(tableMarkup);
  const body = html`${main.flat()}${comparison === undefined ? [] : tableMarkup(comparison)}${
    more.length === 0 ? [] : html`<details><summary>Further comparisons</summary>${more}</details>`
  }${further}`;
  return { id: 'results', title: 'Results', body, charts };
}

/** The first metric, as it was sampled where it was. */
function mainScores(series: readonly Series[], results: Results): Chart {
  const final = results.evaluations.filter((it) => it.final && it.decoding !== 'teacher_forced');
  const metric = final[0]?.metric ?? '';
  const decoding = final.some((summary) => summary.decoding === 'sampled') ? 'sampled' : 'greedy';
  const shown = final.filter((summary) => summary.metric === metric && summary.decoding === decoding);
  const datasets = testsFirst(results, shown);
  const bars = series.flatMap((own) => {
    const scores = shown.filter((summary) => summary.stage === own.name);
    const means = datasets.map((dataset) => scores.find((it) => it.dataset === dataset)?.mean ?? null);
    return scores.length === 0 ? [] : [{ series: own, means }];
  });
  return scoreChart(`${metricTitle(metric)}, ${decoding}`, datasets, bars);
}

function timeSection(results: Results): Section | undefined {
  const trained = results.stages.filter((stage) => stage.steps > 0);
  if (trained.length === 0) return undefined;
  const chart = phaseChart(trained.map(({ name, seconds_by_phase: seconds }) => ({ name, seconds })));
  const body = html`${tableMarkup(trainingTable(results))}${figure(chart, 'wide')}`;
  return { id: 'time', title: 'Tokens and time', body, charts: [chart] };
}
