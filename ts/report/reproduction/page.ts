import { counted } from '../../common/counted.js';
import { groupBy } from '../../metrics/aggregate.js';
import type { TableFile } from '../../metrics/table_file.js';
import type { Chart } from '../charts/chart.js';
import { legendMarkup, plots } from '../charts/chart_frame.js';
import type { Series } from '../charts/series.js';
import { diagnosticsSection } from '../comparison/page.js';
import { html, type Markup } from '../formats/markup.js';
import {
  formatCount,
  formatFigure,
  formatProbability,
  formatSeconds,
  formatSigned,
} from '../formats/number_format.js';
import { cell, column, NONE, type Table } from '../formats/table.js';
import { tableMarkup } from '../formats/table_markup.js';
import { curveSection } from '../page/curve_section.js';
import { type Generation, type Role, sampleSection } from '../page/samples.js';
import type { Section } from '../page/section.js';
import { settingsDiff } from '../page/settings_diff.js';
import type { ReproductionData, Trained } from '../read/reproduction.js';
import { columnCharts, dynamicsCharts, placed, rowName, sweptCharts } from './charts.js';

/** One series for each row of the table that was trained: its seeds are its members. */
export function seriesOfRows({ table, curves }: ReproductionData): Series[] {
  return placed(table).map(({ row, name, place }) => ({
    name,
    place,
    members: curves.filter((it) => it.row === row.id).map(({ stage }) => stage),
  }));
}

/**
 * What the page of a reproduction shows, in order.
 *
 * @param tables as `reproductionTables` makes them: scores by measure, then what follows from them
 */
export function reproductionSections(data: ReproductionData, tables: readonly Table[]): Section[] {
  const series = seriesOfRows(data);
  const measures = new Set(data.table.columns.map(({ metric, decoding }) => `${metric} ${decoding}`)).size;
  const [scores, further] = [tables.slice(0, measures), tables.slice(measures)];
  const teachers = placed(data.table).filter(({ row }) => row.group === 'teacher');
  const isTeacher = ({ place }: Series): boolean => teachers.some((teacher) => teacher.place === place);
  return [
    resultSection(data, scores),
    figureSection(data.table, series),
    verdictSection(further),
    diagnosticsSection(series.filter((it) => !isTeacher(it))),
    curveSection(
      series.filter((it) => !isTeacher(it)),
      series.filter(isTeacher),
      'Curves of the teacher',
    ),
    costSection(data.table),
    rowSampleSection(data),
    settingsSection(data),
  ].filter((section) => section !== undefined);
}

function resultSection({ table, missing }: ReproductionData, tables: readonly Table[]): Section {
  const protocol = html`<h3>Protocol</h3><ul>${table.protocol.map((line) => html`<li>${line}</li>`)}</ul>`;
  const gone =
    missing.length === 0
      ? []
      : [`${missing.length} folders of trained stages are gone: their curves and samples are missing here.`];
  const warnings = [...table.warnings, ...gone].map((line) => html`<p class="warning">${line}</p>`);
  const body = html`${warnings}${primaryMarkup(table)}${tables.map(tableMarkup)}${protocol}`;
  return { id: 'results', title: 'Results', body, charts: [] };
}

function verdictSection(tables: readonly Table[]): Section | undefined {
  if (tables.length === 0) return undefined;
  return {
    id: 'verdicts',
    title: 'Differences and verdicts',
    body: html`${tables.map(tableMarkup)}`,
    charts: [],
  };
}

function primaryMarkup({ primary, rows }: TableFile): Markup {
  if (primary === null) return html`<p class="note">No comparison was declared for this table.</p>`;
  const { declared, conclusion, difference, low, high, p, seeds, rows: count, resamples, tuning } = primary;
  const signed = (value: number): string => formatSigned(value, formatFigure);
  const label = (id: string): string => rows.find((row) => row.id === id)?.label ?? id;
  const chosen = tuning.map(({ row, value }) => `${label(row)} ${formatFigure(value)}`).join(', ');
  return html`<div class="primary"><p>${declared}</p><p><b>${conclusion}</b></p>
<p class="note">Difference ${signed(difference)} (95 % interval ${signed(low)} to ${signed(high)}), ${formatProbability(p)}; ${counted(seeds, 'training seed')}, ${counted(count, 'row')},
${resamples} resamples. Baselines on the tuning split: ${chosen}.</p></div>`;
}

function figureSection(table: TableFile, series: readonly Series[]): Section | undefined {
  const swept = sweptCharts(table);
  const dynamics = table.table === 'dynamics' ? dynamicsCharts(series) : [];
  const columns = swept.length > 0 ? [] : columnCharts(table);
  const charts = [...dynamics, ...swept, ...columns];
  if (charts.length === 0) return undefined;
  const note = 'Mean over training seeds, with one standard deviation to either side.';
  const still = [...swept, ...columns];
  const body = html`${legendOf(dynamics)}${plots(dynamics)}
${still.length === 0 ? [] : html`<p class="note">${note}</p>`}${legendOf(swept)}${plots(still)}`;
  return { id: 'figures', title: 'Figures', body, charts };
}

/** One legend for charts that stand together. */
function legendOf(charts: readonly Chart[]): Markup {
  const items = new Map(charts.flatMap(({ legend }) => legend.map((item) => [item.label, item] as const)));
  return items.size === 0 ? html`` : legendMarkup([...items.values()]);
}

function costSection({ rows }: TableFile): Section {
  const table: Table = {
    title: '',
    columns: [
      column('row'),
      column('response tokens', 'right'),
      column('settings tried', 'right'),
      column('time', 'right'),
    ],
    rows: rows.map(({ label, tokens, tuning_trials: trials, seconds }) => [
      cell(label),
      tokens === null ? NONE : cell(formatCount(tokens)),
      trials === null ? NONE : cell(String(trials)),
      seconds === null ? NONE : cell(formatSeconds(seconds)),
    ]),
    note: 'Means over training seeds. response tokens: trained on. settings tried: on the tuning split.',
  };
  return { id: 'time', title: 'Tokens and time', body: tableMarkup(table), charts: [] };
}

/** Texts of the first seed of each row. */
function rowSampleSection({ table, samples }: ReproductionData): Section | undefined {
  const generations = table.rows.flatMap((row): Generation[] => {
    const [first] = samples.filter((it) => it.row === row.id);
    const role: Role = row.group === 'teacher' ? 'teacher' : row.group === 'start' ? 'before' : 'after';
    return (first?.stage.samples ?? []).map((sample) => ({ role, label: rowName(row, table), sample }));
  });
  return sampleSection(generations);
}

function settingsSection({ folder, table, curves }: ReproductionData): Section {
  const byRow = groupBy(curves, ({ row }) => row);
  const settings = table.rows.flatMap((row) => {
    const value = stageOf(byRow.get(row.id)?.[0]);
    return value === undefined ? [] : [{ label: rowName(row, table), value }];
  });
  const diff = settingsDiff(settings);
  const facts: readonly (readonly [string, string])[] = [
    ['folder', folder],
    ['profile', table.profile],
    ['training seeds', table.seeds.join(', ')],
    ['decoding seeds', table.decoding_seeds.join(', ')],
  ];
  const list = facts.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>\n`);
  const differing =
    diff === undefined
      ? []
      : html`<details><summary>${diff.rows.length} settings differ</summary>${tableMarkup({ ...diff, title: '' })}</details>`;
  return {
    id: 'settings',
    title: 'Settings',
    body: html`<dl class="facts">${list}</dl>${differing}`,
    charts: [],
  };
}

/** The stage's own part of its run's configuration: the rest names where its parents lie. */
function stageOf(trained: Trained | undefined): unknown {
  return trained?.run.config?.value.stages[trained.stage.name];
}
