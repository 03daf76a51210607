import { type Chart, CONTAINED, FIGURE_AXIS, STEP_AXIS, slug, WIDTH } from './chart.js';
import type { Curve, Point } from './curves.js';
import { seriesColour } from './palette.js';
import { dashOf, legendItem, type Series } from './series.js';

/** One metric over steps, a line for each series; a pale band shows how far figures reach about it. */
export function curveChart({ title, lines }: Curve, series: readonly Series[]): Chart {
  const drawn = series.flatMap((own) => {
    const points = lines.get(own.name);
    return points === undefined ? [] : [{ own, points }];
  });
  const opacity = drawn.length > 6 ? 0.07 : 0.13;
  return {
    id: slug('curve', title),
    title,
    width: WIDTH,
    height: 190,
    legend: drawn.map(({ own }) => legendItem(own, 'line')),
    option: {
      grid: { left: 8, right: 12, top: 10, bottom: 4, ...CONTAINED },
      xAxis: STEP_AXIS,
      yAxis: FIGURE_AXIS,
      series: [
        ...drawn.flatMap(({ own, points }) => band(own, points, opacity)),
        ...drawn.map(({ own, points }) => line(own, points)),
      ],
    },
  };
}

function line({ place }: Series, points: readonly Point[]): object {
  const colour = seriesColour(place);
  const dash = dashOf(place);
  return {
    type: 'line',
    silent: true,
    showSymbol: points.length < 12,
    symbol: 'circle',
    symbolSize: 4,
    data: points.map(({ step, mean }) => [step, mean]),
    lineStyle: { color: colour, width: 1.8, ...(dash === undefined ? {} : { type: dash }) },
    itemStyle: { color: colour },
  };
}

/** Two stacked lines without strokes: the lower edge, and the height above it, filled. */
function band({ name, place }: Series, points: readonly Point[], opacity: number): object[] {
  if (points.every(({ low, high }) => low === high)) return [];
  const edge = {
    type: 'line',
    silent: true,
    showSymbol: false,
    stack: `band ${name}`,
    stackStrategy: 'all',
    lineStyle: { opacity: 0 },
  };
  return [
    { ...edge, data: points.map(({ step, low }) => [step, low]) },
    {
      ...edge,
      data: points.map(({ step, low, high }) => [step, high - low]),
      areaStyle: { color: seriesColour(place), opacity },
    },
  ];
}
