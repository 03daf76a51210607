import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams } from 'echarts';
import { formatFigure } from '../formats/number_format.js';
import { categories } from './bar_charts.js';
import { AXIS, type Chart, FONT, NAMES_CONTAINED, slug, WIDTH } from './chart.js';
import { seriesColour } from './palette.js';

/** A figure with the interval about it. */
export interface Estimate {
  readonly name: string;
  /** As in `Series`. */
  readonly place: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** Estimates of one quantity below each other, each a point with its interval as a line through it. */
export function intervalChart(title: string, estimates: readonly Estimate[]): Chart {
  return {
    id: slug('intervals', title),
    title,
    width: WIDTH,
    height: 20 * estimates.length + 36,
    legend: [],
    option: {
      grid: { left: 14, right: 14, top: 6, bottom: 4, ...NAMES_CONTAINED },
      xAxis: {
        type: 'value',
        scale: true,
        splitNumber: 4,
        ...AXIS,
        axisLabel: { ...FONT, hideOverlap: true, formatter: formatFigure },
      },
      yAxis: categories(estimates.map(({ name }) => name)),
      series: [
        {
          type: 'custom',
          silent: true,
          renderItem: (_: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) =>
            whisker(api, seriesColour(estimates[Number(api.value(3))]?.place ?? 0), 1, 2),
          encode: { x: [0, 1, 2], y: 3 },
          data: estimates.map(({ mean, low, high }, row) => [mean, low, high, row]),
        },
        {
          type: 'scatter',
          silent: true,
          symbolSize: 7,
          data: estimates.map(({ mean, place }, row) => ({
            value: [mean, row],
            itemStyle: { color: seriesColour(place) },
          })),
        },
      ],
    },
  };
}

/** A horizontal line between two dimensions of a datum, at the row that its dimension 3 says. */
function whisker(api: CustomSeriesRenderItemAPI, stroke: string, low: number, high: number) {
  const [x1 = 0, y = 0] = api.coord([api.value(low), api.value(3)]);
  const [x2 = 0] = api.coord([api.value(high), api.value(3)]);
  return {
    type: 'line' as const,
    shape: { x1, y1: y, x2, y2: y },
    style: { stroke, lineWidth: 1.8, opacity: 0.75 },
  };
}
