import { PHASES } from '../metrics/aggregate.js';
import { curveChart, phaseChart, phaseColour, scoreChart, stageColour } from './charts.js';
import { type CurveGroup, curvesOf } from './curves.js';
import { formatSeconds } from './figures.js';
import { html, Markup, type Section } from './markup.js';
import { STYLE } from './page_style.js';
import type { RunData, StageData } from './read_run.js';
import {
  comparisonTables,
  measureTables,
  metricTitle,
  scoreTables,
  testsFirst,
  trainingTable,
} from './result_tables.js';
import type { Results } from './results.js';
import { sampleSection } from './samples.js';
import { settingsSection } from './settings.js';
import type { Table } from './table.js';

/** The run as one page without scripts or outside parts: it opens from disk, from mail, years later. */
export function renderPage(run: RunData, results: Results): Markup {
  const sections = [
    resultsSection(run, results),
    curvesSection(run),
    timeSection(run, results),
    sampleSection(run),
    settingsSection(run),
  ].filter((section) => section !== undefined);
  const links = sections.map(({ id, title }) => html`<a href="#${id}">${title}</a> `);
  const body = sections.map(
    ({ id, title, body }) => html`<section id="${id}"><h2>${title}</h2>${body}</section>\n`,
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${run.name}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<header><h1>${run.name}</h1>${headline(run, results)}<nav>${links}</nav></header>
${body}</body>
</html>
`;
}

function headline(run: RunData, results: Results): Markup {
  const done = run.stages.filter((stage) => stage.done).length;
  const seconds = results.stages.reduce((sum, stage) => sum + stage.seconds, 0);
  const state =
    done === run.stages.length ? 'all stages done' : `${done} of ${run.stages.length} stages done`;
  return html`<p class="soft">${run.stages.length} stages, ${state}; ${formatSeconds(seconds)} of training steps.</p>`;
}

function resultsSection(run: RunData, results: Results): Section | undefined {
  if (results.evaluations.length === 0) return undefined;
  const [scores, ...moreScores] = scoreTables(results);
  const [comparison, ...moreComparisons] = comparisonTables(results);
  const main = scores === undefined ? [] : [tableMarkup(scores), scoreFigure(run, results)];
  const further = [...moreScores, ...measureTables(results)].map(tableMarkup);
  const more = moreComparisons.map(tableMarkup);
  const body = html`${main}${comparison === undefined ? [] : tableMarkup(comparison)}${
    more.length === 0 ? [] : html`<details><summary>Further comparisons</summary>${more}</details>`
  }${further}`;
  return { id: 'results', title: 'Results', body };
}

function scoreFigure(run: RunData, results: Results): Markup {
  const final = results.evaluations.filter((it) => it.final && it.decoding !== 'teacher_forced');
  const metric = final[0]?.metric ?? '';
  const decoding = final.some((summary) => summary.decoding === 'sampled') ? 'sampled' : 'greedy';
  const shown = final.filter((summary) => summary.metric === metric && summary.decoding === decoding);
  const datasets = testsFirst(results, shown);
  const bars = run.stages.flatMap(({ name }, stage) => {
    const own = shown.filter((summary) => summary.stage === name);
    const means = datasets.map((dataset) => own.find((it) => it.dataset === dataset)?.mean ?? null);
    return own.length === 0 ? [] : [{ stage, means }];
  });
  const title = metricTitle(metric);
  const legend = legendItems(
    run,
    bars.map((bar) => bar.stage),
  );
  return html`<figure class="wide" role="img" aria-label="${title} by dataset and stage">
<figcaption>${title}, ${decoding}</figcaption><div class="legend">${legend}</div>${scoreChart(datasets, bars)}</figure>`;
}

function curvesSection(run: RunData): Section | undefined {
  const students = run.stages.filter((stage) => !stage.teaches);
  const teachers = run.stages.filter((stage) => stage.teaches);
  const groups = [curveGroups(run, students), curveGroups(run, teachers)];
  const [main, folded] = groups[0] === undefined ? [groups[1]] : groups;
  if (main === undefined) return undefined;
  const body = html`<p class="note">By optimizer step. With many steps a point is the mean over a window of steps, and the
pale band its smallest and largest figure.</p>
${main}${folded === undefined ? [] : html`<details><summary>Curves of the teacher</summary>${folded}</details>`}`;
  return { id: 'curves', title: 'Curves', body };
}

function curveGroups(run: RunData, stages: readonly StageData[]): Markup | undefined {
  const groups = curvesOf(stages);
  if (groups.length === 0) return undefined;
  const names = run.stages.map((stage) => stage.name);
  const drawn = stages.filter((stage) => stage.steps.length > 0).map((stage) => names.indexOf(stage.name));
  return html`<div class="legend sticky">${legendItems(run, drawn)}</div>${groups.map((group) => curveGroup(group, names))}`;
}

function curveGroup({ title, note, curves }: CurveGroup, stages: readonly string[]): Markup {
  const figures = curves.map(
    (curve) => html`<figure role="img" aria-label="${curve.title} by step">
<figcaption>${curve.title}</figcaption>${curveChart(curve, stages)}</figure>`,
  );
  return html`<h3>${title}</h3>${note === '' ? [] : html`<p class="note">${note}</p>`}<div class="plots">${figures}</div>`;
}

function timeSection(run: RunData, results: Results): Section | undefined {
  const trained = results.stages.filter((stage) => stage.steps > 0);
  if (trained.length === 0) return undefined;
  const phases = [...PHASES, 'other' as const].filter((phase) =>
    trained.some(({ seconds_by_phase: spent }) => spent[phase] > 1e-3 * spent.total),
  );
  const stages = trained.map((stage) => ({ name: stage.name, seconds: stage.seconds_by_phase }));
  const items = phases.map((phase, index) => legendItem(phaseColour(index), PHASE_TITLES[phase]));
  const body = html`${tableMarkup(trainingTable(results))}
<figure class="wide" role="img" aria-label="Seconds by phase and stage"><figcaption>Seconds by phase</figcaption>
<div class="legend">${items}</div>${phaseChart(stages, phases)}</figure>`;
  return run.stages.length === 0 ? undefined : { id: 'time', title: 'Time', body };
}

const PHASE_TITLES: Readonly<Record<(typeof PHASES)[number] | 'other', string>> = {
  generate: 'generate',
  build: 'build batch',
  teacher: 'teacher',
  prepass: 'student, for critics',
  critic: 'critics',
  student: 'student',
  end: 'end of step',
  wire: 'wire',
  idle: 'worker idle',
  other: 'other',
};

function legendItems(run: RunData, stages: readonly number[]): Markup[] {
  return stages.map((index) => legendItem(stageColour(index), run.stages[index]?.name ?? ''));
}

function legendItem(colour: string, label: string): Markup {
  return html`<span><span class="swatch" style="background:${colour}"></span>${label}</span>`;
}

export function tableMarkup({ title, columns, rows, note }: Table): Markup {
  const head = columns.map(({ label, align }) => html`<th class="${align}" scope="col">${label}</th>`);
  const body = rows.map((row) => {
    const cells = row.map(({ text, detail, strong }, index) => {
      const kind = `${columns[index]?.align ?? 'left'}${strong === true ? ' strong' : ''}`;
      const main = strong === true ? html`<b>${text}</b>` : text;
      return html`<td class="${kind}">${main}${detail === undefined ? [] : html` <small>(${detail})</small>`}</td>`;
    });
    return html`<tr>${cells}</tr>\n`;
  });
  return html`<h3>${title}</h3><div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>
<p class="note">${note}</p>`;
}
