import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams } from 'echarts';
import type { TableColumn, TableFile, TableRow } from '../../metrics/table_file.js';
import { AXIS, type Chart, CONTAINED, FIGURE_AXIS, slug, WIDTH } from '../charts/chart.js';
import { curveChart } from '../charts/curve_chart.js';
import { curvesOf } from '../charts/curves.js';
import { type Estimate, intervalChart } from '../charts/interval_chart.js';
import { seriesColour } from '../charts/palette.js';
import { legendItem, type Series } from '../charts/series.js';
import { measureTitle } from '../comparison/tables.js';

/** How a row is called where names must differ. */
export function rowName({ id, label }: TableRow, { rows }: TableFile): string {
  return rows.filter((row) => row.label === label).length > 1 ? `${label} (${id})` : label;
}

interface Placed {
  readonly row: TableRow;
  readonly name: string;
  /** Decides its looks in every chart of the page. */
  readonly place: number;
}

/** The table's rows with what they look like in all charts. */
export function placed(table: TableFile): readonly Placed[] {
  // The first colour is grey: for the teacher or the start, not for a method that happens to be first.
  const group = table.rows[0]?.group;
  const first = group === 'teacher' || group === 'start' ? 0 : 1;
  return table.rows.map((row, index) => ({ row, name: rowName(row, table), place: first + index }));
}

function columnTitle({ title, metric, decoding }: TableColumn): string {
  return `${title}: ${measureTitle({ metric, decoding })}`;
}

/** One chart for each column: means of all rows but the teacher's, with one standard deviation over training seeds. */
export function columnCharts(table: TableFile): Chart[] {
  const students = placed(table).filter(({ row }) => row.group !== 'teacher');
  return table.columns.flatMap((measured, column) => {
    const estimates = students.flatMap(({ row, name, place }): Estimate[] => {
      const cell = row.cells[column] ?? null;
      if (cell === null) return [];
      const { mean, sd } = cell;
      return [{ name, place, mean, low: mean - (sd ?? 0), high: mean + (sd ?? 0) }];
    });
    return estimates.length < 2 ? [] : [intervalChart(columnTitle(measured), estimates)];
  });
}

/** For rows along a hyperparameter, one chart for each column; rows without one are level lines. */
export function sweptCharts(table: TableFile): Chart[] {
  const rows = placed(table).filter(({ row }) => row.group !== 'teacher');
  const swept = rows.filter(({ row }) => row.hyperparameter !== null);
  if (swept.length < 2) return [];
  // A start far below would leave the others no room.
  const levels = rows.filter(({ row }) => row.hyperparameter === null && row.group !== 'start');
  return table.columns.map((measured, column) => sweptChart(columnTitle(measured), column, swept, levels));
}

function sweptChart(
  title: string,
  column: number,
  swept: readonly Placed[],
  levels: readonly Placed[],
): Chart {
  const points = swept
    .flatMap(({ row }) => {
      const cell = row.cells[column] ?? null;
      return cell === null ? [] : [[row.hyperparameter ?? 0, cell.mean, cell.sd ?? 0]];
    })
    .sort(([left = 0], [right = 0]) => left - right);
  const place = swept[0]?.place ?? 0;
  const shown = levels.filter(({ row }) => row.cells[column] !== null);
  return {
    id: slug('weight', title),
    title,
    width: WIDTH,
    height: 230,
    legend: [
      legendItem(
        { name: `${swept[0]?.row.method ?? 'ours'}, by weight of the on-policy side`, place },
        'line',
      ),
      ...shown.map((level) => ({ ...legendItem(level, 'line'), dash: LEVEL })),
    ],
    option: {
      grid: { left: 8, right: 14, top: 10, bottom: 4, ...CONTAINED },
      xAxis: { type: 'value', min: 0, max: 'dataMax', ...AXIS, splitLine: { show: false } },
      yAxis: FIGURE_AXIS,
      series: [
        ...shown.map(({ row, place: own }) => level(row.cells[column]?.mean ?? 0, points, seriesColour(own))),
        errorBars(points, seriesColour(place)),
        {
          type: 'line',
          silent: true,
          symbol: 'circle',
          symbolSize: 6,
          data: points,
          lineStyle: { color: seriesColour(place), width: 1.8 },
          itemStyle: { color: seriesColour(place) },
        },
      ],
    },
  };
}

const LEVEL = [3, 3];

function level(mean: number, points: readonly (readonly number[])[], color: string): object {
  const ends = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? 1];
  return {
    type: 'line',
    silent: true,
    symbol: 'none',
    data: ends.map((x) => [x, mean]),
    lineStyle: { color, width: 1.4, type: LEVEL },
  };
}

/** Vertical lines one deviation up and down from points `[x, mean, deviation]`. */
function errorBars(points: readonly (readonly number[])[], stroke: string): object {
  return {
    type: 'custom',
    silent: true,
    renderItem: (_: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) => {
      const [x, mean, deviation] = [0, 1, 2].map((at) => Number(api.value(at)));
      const [x1 = 0, y1 = 0] = api.coord([x ?? 0, (mean ?? 0) - (deviation ?? 0)]);
      const [, y2 = 0] = api.coord([x ?? 0, (mean ?? 0) + (deviation ?? 0)]);
      return {
        type: 'line' as const,
        shape: { x1, y1, x2: x1, y2 },
        style: { stroke, lineWidth: 1.6, opacity: 0.7 },
      };
    },
    encode: { x: 0, y: [1, 3, 4] },
    // The bars' ends too, for the extent of the axis.
    data: points.map(([x = 0, mean = 0, deviation = 0]) => [
      x,
      mean,
      deviation,
      mean - deviation,
      mean + deviation,
    ]),
  };
}

/** Gaps and distances to the teacher over steps, a line for each method. */
const DYNAMICS = /^(d|tv|forward_kl|reverse_kl)_|\/tightness$/;

export function dynamicsCharts(series: readonly Series[]): Chart[] {
  return curvesOf(series)
    .flatMap(({ curves }) => curves)
    .filter(({ title }) => DYNAMICS.test(title))
    .map((curve) => ({ ...curveChart(curve, series), id: slug('dynamics', curve.title) }));
}
