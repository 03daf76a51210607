import { createRequire } from 'node:module';
import type * as Resvg from '@resvg/resvg-js';
import { ReportError } from '../errors.js';
import { escapeHtml } from '../formats/markup.js';
import { printable } from '../formats/table.js';
import { type Chart, drawChart, type LegendItem } from './chart.js';
import { withLightColours } from './palette.js';

export const FIGURE_FORMATS = ['svg', 'png'] as const;
export type FigureFormat = (typeof FIGURE_FORMATS)[number];

/** Without quotes: resvg finds no family of a list that has them. */
const FAMILY = 'Helvetica Neue, Arial, Liberation Sans, DejaVu Sans, sans-serif';
const MARGIN = 12;
const LINE = 18;
/** Pixels of an image for each of a chart's own. */
const ZOOM = 3;

interface Placed {
  readonly item: LegendItem;
  readonly x: number;
  readonly y: number;
}

/** Text is not measured: letters of a sans-serif face at 11 pixels are narrower than this on average. */
const widthOf = (text: string): number => 7 * text.length;

/** Legend entries one after another, in as many lines as they need. */
function placeLegend(items: readonly LegendItem[], width: number): Placed[] {
  let [x, y] = [0, 0];
  return items.map((item) => {
    const own = widthOf(item.label) + 34;
    if (x > 0 && x + own > width) [x, y] = [0, y + LINE];
    const placed = { item, x, y };
    x += own;
    return placed;
  });
}

/** The chart as an SVG file that stands alone: light colours, a title, its legend, no reference to anything. */
export function chartSvg(chart: Chart): string {
  const legend = placeLegend(chart.legend, chart.width);
  const legendHeight = legend.length === 0 ? 0 : Math.max(...legend.map(({ y }) => y)) + LINE;
  const top = MARGIN + LINE + 4;
  const [width, height] = [chart.width + 2 * MARGIN, top + legendHeight + chart.height + MARGIN];
  // No file of its own takes a font from what surrounds it.
  const drawing = drawChart(chart)
    .text.replaceAll(/font-family\s*:\s*inherit/g, `font-family:${FAMILY}`)
    .replace(/^<svg width="[^"]*" height="[^"]*"/, '<svg')
    .replace(
      '<svg',
      `<svg x="${MARGIN}" y="${top + legendHeight}" width="${chart.width}" height="${chart.height}"`,
    );
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${FAMILY}">
<rect width="${width}" height="${height}" fill="var(--card)"/>
<text x="${MARGIN}" y="${MARGIN + 12}" font-size="13" font-weight="600" fill="var(--ink)">${escapeHtml(printable(chart.title))}</text>
<g transform="translate(${MARGIN},${top})" font-size="11" fill="var(--soft)">${legend.map(legendEntry).join('')}</g>
${drawing}
</svg>
`;
  return withLightColours(svg);
}

function legendEntry({ item: { label, colour, dash, shape }, x, y }: Placed): string {
  const middle = y + LINE / 2;
  const swatch =
    shape === 'bar'
      ? `<rect x="${x}" y="${middle - 5}" width="10" height="10" rx="2" fill="${colour}"/>`
      : `<line x1="${x}" x2="${x + 18}" y1="${middle}" y2="${middle}" stroke="${colour}" stroke-width="2"${dash === undefined ? '' : ` stroke-dasharray="${dash.join(' ')}"`}/>`;
  return `${swatch}<text x="${x + 22}" y="${middle + 4}">${escapeHtml(printable(label))}</text>`;
}

/**
 * What makes images of SVG files.
 *
 * @throws {ReportError} `report_figures`: there is no font to write with, or no renderer for this machine
 */
export function pngRenderer(): (svg: string) => Buffer {
  const { Resvg: Renderer } = loadRenderer();
  const font = { loadSystemFonts: true };
  const letter = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><text y="15">A</text></svg>';
  if (new Renderer(letter, { font }).innerBBox() === undefined)
    throw new ReportError('report_figures', 'no font was found, so that PNG figures would have no text', {
      hint: 'Install one (on Debian: fonts-dejavu-core), or give --figures svg.',
    });
  return (svg) => new Renderer(svg, { font, fitTo: { mode: 'zoom', value: ZOOM } }).render().asPng();
}

/** Makes what turns an SVG file into one of a format. @throws as `pngRenderer` */
export const ENCODERS: Readonly<Record<FigureFormat, () => (svg: string) => string | Buffer>> = {
  svg: () => (svg) => svg,
  png: pngRenderer,
};

function loadRenderer(): typeof Resvg {
  try {
    // A native library, loaded where an image is asked for and nowhere else.
    return createRequire(import.meta.url)('@resvg/resvg-js') as typeof Resvg;
  } catch (cause) {
    throw new ReportError('report_figures', 'PNG figures cannot be drawn on this machine', {
      cause,
      hint: 'Give --figures svg.',
    });
  }
}
