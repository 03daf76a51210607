import { createRequire } from 'node:module';
import type * as Echarts from 'echarts';
import { Markup } from '../formats/markup.js';
import { formatFigure } from '../formats/number_format.js';
import { INK, RULE } from './palette.js';

export interface LegendItem {
  readonly label: string;
  readonly colour: string;
  /** Dashes and gaps of a line in pixels; none for a bar or an unbroken line. */
  readonly dash?: readonly number[];
  readonly shape: 'bar' | 'line';
}

/** A chart before it is drawn: a figure of the page, and where asked for a file. */
export interface Chart {
  /** Names its file; the same at every report of the same data. */
  readonly id: string;
  readonly title: string;
  readonly width: number;
  readonly height: number;
  /** Drawn by the page, or beside the chart in a file of its own. */
  readonly legend: readonly LegendItem[];
  readonly option: Echarts.EChartsCoreOption;
}

/** Width of a chart of which several stand side by side, in pixels of its own scale. */
export const WIDTH = 400;
export const WIDE = 2.1 * WIDTH;

export const FONT = { color: INK, fontSize: 11, fontFamily: 'inherit' };
/** The grid's box holds the axis labels too. */
export const CONTAINED = { outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' };
/** The same with names along the vertical axis, for which there is more room. */
export const NAMES_CONTAINED = { ...CONTAINED, outerBoundsClampWidth: '45%' };
export const AXIS = {
  silent: true,
  axisLabel: { ...FONT, hideOverlap: true },
  axisLine: { lineStyle: { color: RULE } },
  axisTick: { lineStyle: { color: RULE } },
  splitLine: { lineStyle: { color: RULE, opacity: 0.6 } },
};
/** Optimizer steps along the bottom. */
export const STEP_AXIS = {
  type: 'value',
  min: 0,
  max: 'dataMax',
  minInterval: 1,
  splitNumber: 4,
  ...AXIS,
  splitLine: { show: false },
};

/** Any figure up the side, from the least that is drawn and not from 0. */
export const FIGURE_AXIS = {
  type: 'value',
  scale: true,
  splitNumber: 4,
  ...AXIS,
  axisLabel: { ...AXIS.axisLabel, formatter: formatFigure },
} as const;

/** A name for files and anchors out of any text. */
export function slug(...parts: readonly string[]): string {
  const words = parts
    .join(' ')
    .normalize('NFKD')
    .toLowerCase()
    .match(/[a-z0-9]+/g);
  return words?.join('-') ?? 'chart';
}

/** Hover rules of elements that do nothing on hover, and what a script would read: there is none. */
const UNUSED = [
  /<style\b[^>]*>[\s\S]*?<\/style>/g,
  / class="zr[^"]*"/g,
  / ecmeta_[a-z_]+="[^"]*"/g,
  / pointer-events="visible"/g,
];

/** The chart as SVG in the colours and the font of what surrounds it, without title and legend. */
export function drawChart({ width, height, option }: Chart): Markup {
  // Loaded at the first plot, as one file: 0.3 s that commands without plots do not pay (as modules 0.6 s).
  const echarts = createRequire(import.meta.url)('echarts') as typeof Echarts;
  const drawing = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    drawing.setOption({ animation: false, ...option });
    const svg = drawing.renderToSVGString({ useViewBox: true });
    return new Markup(UNUSED.reduce((text, part) => text.replaceAll(part, ''), svg));
  } finally {
    drawing.dispose();
  }
}
