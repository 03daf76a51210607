import type { Chart } from '../charts/chart.js';
import { legendMarkup, plots } from '../charts/chart_frame.js';
import { curveChart } from '../charts/curve_chart.js';
import { type CurveGroup, curvesOf } from '../charts/curves.js';
import { legendItem, type Series } from '../charts/series.js';
import { html, type Markup } from '../formats/markup.js';
import type { Section } from './section.js';

/**
 * Every metric over steps, all series overlaid.
 *
 * @param folded less important ones, drawn apart and folded away under `foldedTitle`
 */
export function curveSection(
  main: readonly Series[],
  folded: readonly Series[],
  foldedTitle: string,
): Section | undefined {
  const [shown, hidden] = [main, folded].map(overlay).filter((it) => it !== undefined);
  if (shown === undefined) return undefined;
  const seeds = [...main, ...folded].some(({ members }) => members.length > 1)
    ? ' Of several training seeds the line is the mean of those that have a figure there, as far as all of them went, and the band reaches from the smallest to the largest.'
    : '';
  const more =
    hidden === undefined ? [] : html`<details><summary>${foldedTitle}</summary>${hidden.body}</details>`;
  const body = html`<p class="note">By optimizer step. With many steps a point is the mean over a window of steps, and the
pale band its smallest and largest figure.${seeds}</p>
${shown.body}${more}`;
  return { id: 'curves', title: 'Curves', body, charts: [...shown.charts, ...(hidden?.charts ?? [])] };
}

interface Overlay {
  readonly body: Markup;
  readonly charts: readonly Chart[];
}

function overlay(series: readonly Series[]): Overlay | undefined {
  const groups = curvesOf(series).map((group) => ({
    group,
    charts: group.curves.map((curve) => curveChart(curve, series)),
  }));
  if (groups.length === 0) return undefined;
  const drawn = series.filter(({ members }) => members.some(({ steps }) => steps.last > 0));
  const legend = legendMarkup(
    drawn.map((it) => legendItem(it, 'line')),
    true,
  );
  return {
    body: html`${legend}${groups.map(({ group, charts }) => groupMarkup(group, charts))}`,
    charts: groups.flatMap(({ charts }) => charts),
  };
}

function groupMarkup({ title, note }: CurveGroup, charts: readonly Chart[]): Markup {
  return html`<h3>${title}</h3>${note === '' ? [] : html`<p class="note">${note}</p>`}${plots(charts)}`;
}
