import type { Chart } from '../charts/chart.js';
import { plots } from '../charts/chart_frame.js';
import { type Estimate, intervalChart } from '../charts/interval_chart.js';
import type { Series } from '../charts/series.js';
import { html, type Markup } from '../formats/markup.js';
import { cell, column, type Table } from '../formats/table.js';
import { tableMarkup } from '../formats/table_markup.js';
import { curveSection } from '../page/curve_section.js';
import { generationsOf, sampleSection } from '../page/samples.js';
import type { Section } from '../page/section.js';
import { settingsDiff } from '../page/settings_diff.js';
import type { StageData } from '../read/run.js';
import { teaches } from './compared_series.js';
import { type ComparisonResults, ofDifferentRows, type Score } from './results.js';
import { type RunGroup, seedsOf } from './run_groups.js';
import {
  costTable,
  diagnosticsTable,
  groupDifferenceTables,
  groupScoreTables,
  measureTitle,
  scoreSets,
} from './tables.js';

/** What the page of several runs shows, in order. */
export function comparisonSections(
  groups: readonly RunGroup[],
  series: readonly Series[],
  results: ComparisonResults,
): Section[] {
  return [
    scoresSection(series, results),
    diagnosticsSection(series),
    curveSection(
      series.filter((it) => !teaches(it)),
      series.filter(teaches),
      'Curves of the teachers',
    ),
    costSection(results),
    groupSampleSection(groups, series),
    groupSettingsSection(groups),
  ].filter((section) => section !== undefined);
}

function scoresSection(series: readonly Series[], results: ComparisonResults): Section | undefined {
  if (results.scores.length === 0) return undefined;
  const sets = scoreSets(results).map((scores) => scoreCharts(scores, series));
  const [first, ...further] = groupScoreTables(results, series).map(
    (table, at) => html`${tableMarkup(table)}${plots(sets[at] ?? [])}`,
  );
  const [difference, ...more] = groupDifferenceTables(results, series).map(tableMarkup);
  const body = html`${first ?? []}${difference ?? []}${folded('Further tables', [...further, ...more])}`;
  return { id: 'results', title: 'Results', body, charts: sets.flat() };
}

export function folded(summary: string, parts: readonly Markup[]): Markup {
  return parts.length === 0 ? html`` : html`<details><summary>${summary}</summary>${parts}</details>`;
}

/**
 * A chart for each test set whose rows are the same in all runs. It has students alone: on an axis that reaches to the
 * teachers they could not be told apart.
 */
function scoreCharts(scores: readonly Score[], series: readonly Series[]): Chart[] {
  const [first] = scores;
  if (first === undefined || first.decoding === 'teacher_forced') return [];
  return [...new Set(scores.map(({ dataset }) => dataset))].flatMap((dataset) => {
    if (ofDifferentRows(scores.filter((it) => it.dataset === dataset))) return [];
    const estimates = series
      .filter((it) => !teaches(it))
      .flatMap(({ name, place }): Estimate[] => {
        const score = scores.find((it) => it.series === name && it.dataset === dataset);
        if (score === undefined) return [];
        const { low, high } = score.interval ?? { low: score.mean, high: score.mean };
        return [{ name, place, mean: score.mean, low, high }];
      });
    return estimates.length < 2 ? [] : [intervalChart(`${dataset}: ${measureTitle(first)}`, estimates)];
  });
}

export function diagnosticsSection(series: readonly Series[]): Section | undefined {
  const table = diagnosticsTable(series.filter((it) => !teaches(it)));
  if (table === undefined) return undefined;
  return { id: 'diagnostics', title: 'Diagnostics', body: tableMarkup({ ...table, title: '' }), charts: [] };
}

function costSection(results: ComparisonResults): Section | undefined {
  if (results.training.length === 0) return undefined;
  const body = tableMarkup({ ...costTable(results), title: '' });
  return { id: 'time', title: 'Tokens and time', body, charts: [] };
}

/** Texts of the first seed of each group. */
function groupSampleSection(groups: readonly RunGroup[], series: readonly Series[]): Section | undefined {
  const names = new Map<StageData, string>(
    series.flatMap(({ name, members }) => members.map((stage) => [stage, name] as const)),
  );
  const generations = groups.flatMap(({ runs }) =>
    runs.slice(0, 1).flatMap((run) => generationsOf(run, (stage) => names.get(stage) ?? stage.name)),
  );
  return sampleSection(generations);
}

export function groupSettingsSection(groups: readonly RunGroup[]): Section {
  const runs: Table = {
    title: '',
    columns: [column('run'), column('seed', 'right'), column('folder'), column('configuration')],
    rows: groups.flatMap(({ label, runs: own }) =>
      own.map(({ folder, config }) => [
        cell(label),
        cell(String(config?.value.seed ?? '–')),
        cell(folder),
        cell(config?.sha256?.slice(0, 12) ?? '–'),
      ]),
    ),
    note: 'Runs whose configurations differ in nothing but the seed are taken together. configuration: first digits of its SHA-256.',
  };
  const diff = settingsDiff(
    groups.flatMap((group) => {
      const value = group.runs[0]?.config?.value;
      return value === undefined
        ? []
        : [{ label: group.label, value: { ...value, name: null, seed: seedsOf(group) } }];
    }),
  );
  const differing =
    diff === undefined
      ? html`<p class="note">The configurations do not differ.</p>`
      : html`<details${diff.rows.length <= 30 ? html` open` : ''}><summary>${diff.rows.length} settings differ</summary>${tableMarkup({ ...diff, title: '' })}</details>`;
  return { id: 'settings', title: 'Settings', body: html`${differing}${tableMarkup(runs)}`, charts: [] };
}
