import { createRequire } from 'node:module';
import type * as Echarts from 'echarts';
import type { PhaseSeconds } from '../metrics/aggregate.js';
import type { Curve, Point } from './curves.js';
import { formatFigure, formatSeconds } from './figures.js';
import { Markup } from './markup.js';
import { printable } from './table.js';

/** Colours are the page's CSS variables, so that one drawing serves light and dark. */
export const INK = 'var(--soft)';
const RULE = 'var(--rule)';
export const stageColour = (index: number): string => `var(--stage-${index % 8})`;
export const phaseColour = (index: number): string => `var(--phase-${index % 10})`;

const WIDTH = 400;
/** The grid's box holds the axis labels too. */
const CONTAINED = { outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' };
const FONT = { color: INK, fontSize: 11, fontFamily: 'inherit' };

/** One metric over steps, a line for each stage; a pale band shows the windows' extremes. */
export function curveChart(curve: Curve, stages: readonly string[]): Markup {
  const lines = stages.flatMap((stage, index) => {
    const points = curve.lines.get(stage);
    return points === undefined ? [] : [{ stage, points, colour: stageColour(index) }];
  });
  return draw(WIDTH, 190, {
    grid: { left: 8, right: 12, top: 10, bottom: 4, ...CONTAINED },
    xAxis: {
      type: 'value',
      min: 0,
      max: 'dataMax',
      minInterval: 1,
      splitNumber: 4,
      ...axis,
      splitLine: { show: false },
    },
    yAxis: {
      type: 'value',
      scale: true,
      splitNumber: 4,
      ...axis,
      axisLabel: { ...FONT, hideOverlap: true, formatter: formatFigure },
    },
    series: [
      ...lines.flatMap(({ stage, points, colour }) => band(stage, points, colour)),
      ...lines.map(({ stage, points, colour }) => ({
        type: 'line',
        name: stage,
        silent: true,
        showSymbol: points.length < 12,
        symbol: 'circle',
        symbolSize: 4,
        data: points.map(({ step, mean }) => [step, mean]),
        lineStyle: { color: colour, width: 1.8 },
        itemStyle: { color: colour },
      })),
    ],
  });
}

/** Two stacked lines without strokes: the lower edge, and the height above it, filled. */
function band(stage: string, points: readonly Point[], colour: string): object[] {
  if (points.every(({ low, high }) => low === high)) return [];
  const edge = {
    type: 'line',
    silent: true,
    showSymbol: false,
    stack: `band ${stage}`,
    stackStrategy: 'all',
  };
  const hidden = { lineStyle: { opacity: 0 } };
  return [
    { ...edge, ...hidden, data: points.map(({ step, low }) => [step, low]) },
    {
      ...edge,
      ...hidden,
      data: points.map(({ step, low, high }) => [step, high - low]),
      areaStyle: { color: colour, opacity: 0.13 },
    },
  ];
}

/** Bars of final scores: a group for each test set, a bar for each stage, in the stage's colour. */
export function scoreChart(
  datasets: readonly string[],
  bars: readonly { readonly stage: number; readonly means: readonly (number | null)[] }[],
): Markup {
  return draw(2.1 * WIDTH, 220, {
    grid: { left: 8, right: 8, top: 12, bottom: 4, ...CONTAINED },
    xAxis: {
      type: 'category',
      data: datasets.map(printable),
      ...axis,
      axisTick: { show: false },
      axisLabel: { ...FONT, interval: 0 },
    },
    yAxis: { type: 'value', splitNumber: 4, ...axis },
    series: bars.map(({ stage, means }) => ({
      type: 'bar',
      silent: true,
      barMaxWidth: 26,
      barGap: '12%',
      barCategoryGap: '28%',
      data: means.map((mean) => mean ?? '-'),
      itemStyle: { color: stageColour(stage), borderRadius: [2, 2, 0, 0] },
    })),
  });
}

/** Seconds of training by phase, one stacked bar for each stage, the first stage on top. */
export function phaseChart(
  stages: readonly { readonly name: string; readonly seconds: PhaseSeconds }[],
  phases: readonly (keyof PhaseSeconds)[],
): Markup {
  return draw(2.1 * WIDTH, 34 * stages.length + 40, {
    grid: { left: 8, right: 24, top: 4, bottom: 4, ...CONTAINED },
    xAxis: { type: 'value', splitNumber: 5, ...axis, axisLabel: { ...FONT, formatter: formatSeconds } },
    yAxis: {
      type: 'category',
      inverse: true,
      data: stages.map(({ name }) => printable(name)),
      ...axis,
      axisTick: { show: false },
      splitLine: { show: false },
    },
    series: phases.map((phase, index) => ({
      type: 'bar',
      silent: true,
      stack: 'time',
      barWidth: 20,
      data: stages.map(({ seconds }) => seconds[phase]),
      itemStyle: { color: phaseColour(index) },
    })),
  });
}

const axis = {
  silent: true,
  axisLabel: { ...FONT, hideOverlap: true },
  axisLine: { lineStyle: { color: RULE } },
  axisTick: { lineStyle: { color: RULE } },
  splitLine: { lineStyle: { color: RULE, opacity: 0.6 } },
};

/** Hover rules of elements that do nothing on hover, and what a script would read: there is none. */
const UNUSED = [
  /<style\b[^>]*>[\s\S]*?<\/style>/g,
  / class="zr[^"]*"/g,
  / ecmeta_[a-z_]+="[^"]*"/g,
  / pointer-events="visible"/g,
];

function draw(width: number, height: number, option: Echarts.EChartsCoreOption): Markup {
  // Loaded at the first plot, as one file: 0.3 s that commands without plots do not pay (as modules 0.6 s).
  const echarts = createRequire(import.meta.url)('echarts') as typeof Echarts;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({ animation: false, ...option });
    const svg = chart.renderToSVGString({ useViewBox: true });
    return new Markup(UNUSED.reduce((text, part) => text.replaceAll(part, ''), svg));
  } finally {
    chart.dispose();
  }
}
