import { PHASES, type PhaseSeconds } from '../../metrics/aggregate.js';
import { formatSeconds } from '../formats/number_format.js';
import { printable } from '../formats/table.js';
import { AXIS, type Chart, CONTAINED, FONT, NAMES_CONTAINED, slug, WIDE } from './chart.js';
import { phaseColour, roundOf, seriesColour } from './palette.js';
import { legendItem, type Series } from './series.js';

/** Bars of scores: a group for each dataset, a bar for each series, in its colour. */
export function scoreChart(
  title: string,
  datasets: readonly string[],
  bars: readonly { readonly series: Series; readonly means: readonly (number | null)[] }[],
): Chart {
  return {
    id: slug('scores', title),
    title,
    width: WIDE,
    height: 220,
    legend: bars.map(({ series }) => legendItem(series, 'bar')),
    option: {
      grid: { left: 8, right: 8, top: 12, bottom: 4, ...CONTAINED },
      xAxis: {
        type: 'category',
        data: datasets.map(printable),
        ...AXIS,
        axisTick: { show: false },
        axisLabel: { ...FONT, interval: 0 },
      },
      yAxis: { type: 'value', splitNumber: 4, ...AXIS },
      series: bars.map(({ series: { place }, means }) => ({
        type: 'bar',
        silent: true,
        barMaxWidth: 26,
        barGap: '12%',
        barCategoryGap: '28%',
        data: means.map((mean) => mean ?? '-'),
        itemStyle: {
          color: seriesColour(place),
          opacity: roundOf(place) === 0 ? 1 : 0.5,
          borderRadius: [2, 2, 0, 0],
        },
      })),
    },
  };
}

type Phase = (typeof PHASES)[number] | 'other';

const PHASE_TITLES: Readonly<Record<Phase, string>> = {
  generate: 'generate',
  build: 'build batch',
  teacher: 'teacher',
  prepass: 'student, scored',
  critic: 'critics',
  student: 'student',
  end: 'end of step',
  wire: 'wire',
  idle: 'worker idle',
  other: 'other',
};

export interface Spent {
  readonly name: string;
  readonly seconds: PhaseSeconds;
}

/** Seconds of training by phase, one stacked bar for each stage, the first stage on top. */
export function phaseChart(stages: readonly Spent[]): Chart {
  const phases = [...PHASES, 'other' as const].filter((phase) =>
    stages.some(({ seconds }) => seconds[phase] > 1e-3 * seconds.total),
  );
  return {
    id: 'seconds-by-phase',
    title: 'Seconds by phase',
    width: WIDE,
    height: 34 * stages.length + 40,
    legend: phases.map((phase, index) => ({
      label: PHASE_TITLES[phase],
      colour: phaseColour(index),
      shape: 'bar',
    })),
    option: {
      grid: { left: 14, right: 24, top: 4, bottom: 4, ...NAMES_CONTAINED },
      xAxis: { type: 'value', splitNumber: 5, ...AXIS, axisLabel: { ...FONT, formatter: formatSeconds } },
      yAxis: categories(stages.map(({ name }) => name)),
      series: phases.map((phase, index) => ({
        type: 'bar',
        silent: true,
        stack: 'time',
        barWidth: 20,
        data: stages.map(({ seconds }) => seconds[phase]),
        itemStyle: { color: phaseColour(index) },
      })),
    },
  };
}

/** A vertical axis of names, the first on top; long ones are cut at their end. */
export function categories(names: readonly string[]): object {
  return {
    type: 'category',
    inverse: true,
    data: names.map(printable),
    ...AXIS,
    axisLabel: { ...FONT, interval: 0, width: 150, overflow: 'truncate' },
    axisTick: { show: false },
    splitLine: { show: false },
  };
}
