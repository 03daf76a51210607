import { html, type Markup } from '../formats/markup.js';
import { type Chart, drawChart, type LegendItem } from './chart.js';

/** A chart in its frame, with its title, and its legend unless that of several charts stands above them. */
export function figure(chart: Chart, shape: 'plot' | 'wide' = 'plot'): Markup {
  const legend = shape === 'wide' && chart.legend.length > 0 ? legendMarkup(chart.legend) : [];
  return html`<figure${shape === 'wide' ? html` class="wide"` : ''} role="img" aria-label="${chart.title}">
<figcaption>${chart.title}</figcaption>${legend}${drawChart(chart)}</figure>`;
}

/** Charts beside each other, as many in a row as there is room for. */
export function plots(charts: readonly Chart[]): Markup {
  return html`<div class="plots">${charts.map((chart) => figure(chart))}</div>`;
}

export function legendMarkup(items: readonly LegendItem[], sticky = false): Markup {
  const swatches = items.map(
    (item) =>
      html`<span><span class="swatch ${item.shape}" style="background:${background(item)}"></span>${item.label}</span>`,
  );
  return html`<div class="legend${sticky ? ' sticky' : ''}">${swatches}</div>`;
}

function background({ colour, dash }: LegendItem): string {
  if (dash === undefined) return colour;
  const [drawn = 0, gap = 0] = dash;
  return `repeating-linear-gradient(90deg,${colour} 0 ${drawn}px,transparent ${drawn}px ${drawn + gap}px)`;
}
