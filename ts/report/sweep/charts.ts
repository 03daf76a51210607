import type { Domain, SweepSummary, TrialRow } from '../../metrics/sweep_rows.js';
import { categories } from '../charts/bar_charts.js';
import {
  AXIS,
  type Chart,
  CONTAINED,
  FONT,
  type LegendItem,
  NAMES_CONTAINED,
  STEP_AXIS,
  WIDE,
} from '../charts/chart.js';
import { INK, RANKS, rankColour } from '../charts/palette.js';
import { formatFigure } from '../formats/number_format.js';
import type { SweepData } from '../read/sweep.js';
import { formatValue, shortNames } from './names.js';
import { objectiveTitle, ranked } from './tables.js';

const BEST = RANKS - 1;
const QUARTERS = ['last quarter', 'third quarter', 'second quarter', 'first quarter'];

/** How good each trial is, by number: the best trial's own rank, and the quarter of the others. */
function ranksOf(data: SweepData): ReadonlyMap<number, number> {
  const order = ranked(data);
  return new Map(
    order.map(({ number }, at) => [
      number,
      at === 0 ? BEST : BEST - 1 - Math.min(BEST - 1, Math.floor((at / order.length) * BEST)),
    ]),
  );
}

function rankLegend(ranks: ReadonlyMap<number, number>): LegendItem[] {
  const items = [...QUARTERS, 'best trial'].map((label, rank) => ({ label, rank })).reverse();
  const used = new Set(ranks.values());
  return items
    .filter(({ rank }) => used.has(rank))
    .map(({ label, rank }) => ({ label, colour: rankColour(rank), shape: 'line' }));
}

/** The value of each trial in the order of their numbers, and the best so far as a line. */
export function historyChart(data: SweepData): Chart | undefined {
  const complete = data.trials.filter(({ value }) => value !== null);
  if (complete.length === 0) return undefined;
  const better = data.summary.objective.mode === 'max' ? Math.max : Math.min;
  const best = complete.map(({ number }, at) => [
    number,
    better(...complete.slice(0, at + 1).map(({ value }) => value ?? Number.NaN)),
  ]);
  const pruned = data.trials.filter(({ state }) => state === 'pruned');
  const seen = pruned.flatMap(({ number, intermediate }) => {
    const last = intermediate.at(-1);
    return last === undefined ? [] : [[number, last.value]];
  });
  return {
    id: 'history',
    title: `${objectiveTitle(data.summary)}, by trial`,
    width: WIDE,
    height: 230,
    legend: [
      { label: 'complete', colour: rankColour(BEST - 1), shape: 'bar' },
      { label: 'best so far', colour: rankColour(BEST), shape: 'line' },
      ...(seen.length === 0
        ? []
        : [{ label: 'pruned, at its last evaluation', colour: INK, shape: 'bar' as const }]),
    ],
    option: {
      grid: { left: 8, right: 12, top: 10, bottom: 4, ...CONTAINED },
      xAxis: { ...STEP_AXIS, max: Math.max(1, ...data.trials.map(({ number }) => number)) },
      yAxis: valueAxis(),
      series: [
        points(seen, INK, 'circle'),
        { ...points(best, rankColour(BEST), 'none'), type: 'line', step: 'end', lineStyle: { width: 1.8 } },
        points(
          complete.map(({ number, value }) => [number, value ?? Number.NaN]),
          rankColour(BEST - 1),
          'circle',
        ),
      ],
    },
  };
}

function points(data: readonly (readonly number[])[], color: string, symbol: string): object {
  return { type: 'scatter', silent: true, symbol, symbolSize: 6, data, itemStyle: { color } };
}

const valueAxis = () => ({
  type: 'value',
  scale: true,
  splitNumber: 4,
  ...AXIS,
  axisLabel: { ...FONT, hideOverlap: true, formatter: formatFigure },
});

/** Each complete trial as a line through its parameters to its value. */
export function parallelChart(data: SweepData): Chart | undefined {
  const { space, objective } = data.summary;
  const paths = Object.keys(space);
  const order = ranked(data);
  if (order.length === 0 || paths.length === 0) return undefined;
  const names = shortNames(paths);
  const ranks = ranksOf(data);
  const axes = paths.map((path) => parameterAxis(names.get(path) ?? path, space[path]));
  const value = { name: objective.metric.replaceAll('_', ' '), type: 'value', scale: true };
  return {
    id: 'parallel-coordinates',
    title: 'Parameters of the complete trials',
    width: WIDE,
    height: 320,
    legend: rankLegend(ranks),
    option: {
      parallel: { left: 60, right: 70, top: 34, bottom: 20 },
      parallelAxis: [...axes, value].map((axis, dim) => ({
        dim,
        silent: true,
        nameTextStyle: { ...FONT, padding: [0, 0, 4, 0] },
        nameTruncate: { maxWidth: (WIDE - 130) / (axes.length + 1), ellipsis: '…' },
        axisLabel: { ...FONT, ...HALO, formatter: (it: number | string) => formatValue(it) },
        axisLine: { lineStyle: { color: INK, opacity: 0.5 } },
        axisTick: { lineStyle: { color: INK, opacity: 0.5 } },
        ...axis,
      })),
      // The best last, so that its line is above the others.
      series: [...order]
        .reverse()
        .map((trial) => lineThrough(trial, paths, space, ranks.get(trial.number) ?? 0)),
    },
  };
}

/** Labels stand on lines here. */
const HALO = { textBorderColor: 'var(--card)', textBorderWidth: 3 };

function parameterAxis(name: string, domain: Domain | undefined): object {
  if (domain?.kind === 'values')
    return { name, type: 'category', data: domain.values.map(formatValue), boundaryGap: true };
  return domain === undefined
    ? { name, type: 'value' }
    : { name, type: domain.log ? 'log' : 'value', min: domain.low, max: domain.high };
}

function lineThrough(
  { parameters, value }: TrialRow,
  paths: readonly string[],
  space: SweepSummary['space'],
  rank: number,
): object {
  const place = (path: string): number | string => {
    const own = parameters[path];
    return space[path]?.kind === 'values' || typeof own !== 'number' ? formatValue(own) : own;
  };
  return {
    type: 'parallel',
    silent: true,
    lineStyle: {
      color: rankColour(rank),
      width: rank === BEST ? 2.6 : 1.3,
      opacity: rank === BEST ? 1 : 0.75,
    },
    data: [[...paths.map(place), value ?? '-']],
  };
}

/** How much each parameter matters, the most important on top. */
export function importanceChart({ summary }: SweepData): Chart | undefined {
  const bars = Object.entries(summary.importances ?? {}).sort(([, left], [, right]) => right - left);
  if (bars.length === 0) return undefined;
  const names = shortNames(Object.keys(summary.space));
  return {
    id: 'importance',
    title: 'Importance of the parameters',
    width: WIDE,
    height: 26 * bars.length + 36,
    legend: [],
    option: {
      grid: { left: 14, right: 24, top: 4, bottom: 4, ...NAMES_CONTAINED },
      xAxis: { type: 'value', min: 0, max: 1, splitNumber: 5, ...AXIS },
      yAxis: categories(bars.map(([path]) => names.get(path) ?? path)),
      series: [
        {
          type: 'bar',
          silent: true,
          barWidth: 14,
          data: bars.map(([, share]) => share),
          itemStyle: { color: rankColour(BEST - 1), borderRadius: [0, 2, 2, 0] },
        },
      ],
    },
  };
}

/** The objective in evaluations during training, a line for each trial that had any. */
export function progressChart(data: SweepData): Chart | undefined {
  const ranks = ranksOf(data);
  const shown = data.trials
    .filter(({ intermediate }) => intermediate.length > 0)
    .sort((left, right) => (ranks.get(left.number) ?? -1) - (ranks.get(right.number) ?? -1));
  if (shown.every(({ intermediate }) => intermediate.length < 2)) return undefined;
  const pruned = shown.some(({ state }) => state !== 'complete');
  return {
    id: 'progress',
    title: 'During training',
    width: WIDE,
    height: 260,
    legend: [
      ...rankLegend(ranks),
      ...(pruned ? [{ label: 'pruned or failed', colour: INK, dash: [4, 3], shape: 'line' as const }] : []),
    ],
    option: {
      grid: { left: 8, right: 12, top: 10, bottom: 4, ...CONTAINED },
      xAxis: STEP_AXIS,
      yAxis: valueAxis(),
      series: shown.map((trial) => progressLine(trial, ranks.get(trial.number))),
    },
  };
}

function progressLine({ intermediate }: TrialRow, rank: number | undefined): object {
  const color = rank === undefined ? INK : rankColour(rank);
  const style = rank === undefined ? { type: [4, 3], opacity: 0.5 } : {};
  return {
    type: 'line',
    silent: true,
    showSymbol: rank === undefined,
    symbol: 'circle',
    symbolSize: 4,
    data: intermediate.map(({ step, value }) => [step, value]),
    lineStyle: { color, width: rank === BEST ? 2.6 : 1.2, ...style },
    itemStyle: { color, opacity: rank === undefined ? 0.5 : 1 },
  };
}
