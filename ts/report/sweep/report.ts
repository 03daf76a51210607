import { counted } from '../../common/counted.js';
import type { SweepSummary, TrialRow } from '../../metrics/sweep_rows.js';
import type { Chart } from '../charts/chart.js';
import { figure } from '../charts/chart_frame.js';
import { html, type Markup } from '../formats/markup.js';
import { formatFigure } from '../formats/number_format.js';
import { tableMarkup } from '../formats/table_markup.js';
import type { Section } from '../page/section.js';
import type { SweepData } from '../read/sweep.js';
import { assemble, type Report } from '../report.js';
import { historyChart, importanceChart, parallelChart, progressChart } from './charts.js';
import { objectiveTitle, spaceTable, trialTable } from './tables.js';

/** What `results.json` of a sweep holds. */
export interface SweepResults {
  readonly format: 'ammd-sweep';
  readonly version: 1;
  readonly summary: SweepSummary;
  readonly trials: readonly TrialRow[];
}

/** The report of a sweep that has been read; writes nothing. */
export function sweepReport(data: SweepData): Report<SweepResults> {
  const { summary, trials } = data;
  const sections = [bestSection(data), trialsSection(data), settingsSection(data)];
  return assemble({
    title: summary.name,
    headline: headline(summary),
    sections: sections.filter((section) => section !== undefined),
    results: { format: 'ammd-sweep', version: 1, summary, trials },
    preface: [headline(summary), bestText(summary), ...warnings(summary)],
    tables: [spaceTable(data), trialTable(data)],
    main: [trialTable(data), spaceTable(data)],
  });
}

function headline({ trials: { wanted, complete, pruned, failed }, search, pruning }: SweepSummary): string {
  const finished = complete + pruned + failed;
  const how = `${search}${pruning === null ? '' : `, pruned by ${pruning.toUpperCase()}`}`;
  return `${finished} of ${counted(wanted, 'trial')}: ${complete} complete, ${pruned} pruned, ${failed} failed. Search: ${how}.`;
}

function bestText(summary: SweepSummary): string {
  const { best } = summary;
  if (best === null) return 'No trial is complete yet.';
  return `Best: trial ${best.number}, ${objectiveTitle(summary)}: ${formatFigure(best.value)}. Train it with: ammd train ${best.config}`;
}

function warnings({ objective }: SweepSummary): string[] {
  const best =
    'The best value of many is too high for what a new evaluation would say: confirm it on other data.';
  return objective.test_set
    ? [
        `${objective.dataset} is no validation set of the stage: what was chosen by it must not be reported on it.`,
        best,
      ]
    : [best];
}

function bestSection(data: SweepData): Section {
  const charts = [historyChart(data), importanceChart(data), parallelChart(data), progressChart(data)].filter(
    (chart) => chart !== undefined,
  );
  const lines = warnings(data.summary).map((line) => html`<p class="note">${line}</p>`);
  const body = html`<p>${bestText(data.summary)}</p>${lines}${charts.map((chart) => figure(chart, 'wide'))}`;
  return { id: 'search', title: 'Search', body, charts };
}

function trialsSection(data: SweepData): Section | undefined {
  if (data.trials.length === 0) return undefined;
  return {
    id: 'trials',
    title: 'Trials',
    body: tableMarkup({ ...trialTable(data), title: '' }),
    charts: NO_CHARTS,
  };
}

const NO_CHARTS: readonly Chart[] = [];

function settingsSection(data: SweepData): Section {
  const { summary } = data;
  const facts: readonly (readonly [string, string])[] = [
    ['folder', data.folder],
    ['judged stage', summary.stage],
    ['SHA-256 of the search', summary.hash],
  ];
  const list: readonly Markup[] = facts.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>\n`);
  const body = html`${tableMarkup(spaceTable(data))}<dl class="facts">${list}</dl>`;
  return { id: 'settings', title: 'Settings', body, charts: NO_CHARTS };
}
