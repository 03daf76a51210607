import { plot } from 'simple-ascii-chart';
import { constantValue } from '../config/schema.js';
import { withRows } from '../plan/stage.js';
import type { SizedStagePlan, StagePlan } from '../plan/types.js';
import { formatFigure } from '../report/formats/number_format.js';
import { curvesOf } from '../schedule/read.js';

/** A schedule of a stage as points of a curve. */
export interface ScheduleCurve {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly number[];
  /** The value, where it never changes. */
  readonly constant: number | null;
  /** For an adaptive one: what moves it. The curve shows where it starts. */
  readonly moves: string | null;
}

export interface StageCurves {
  readonly stage: string;
  /** Steps of the student; null where they follow from data that was not looked at. */
  readonly total: number | null;
  /** Steps at which the curves are read, from 0; in per cent where `total` is null. */
  readonly steps: readonly number[];
  readonly curves: readonly ScheduleCurve[];
}

/** Stands for a number of steps that is not known. Warm-ups, which are given in steps, are drawn as if it were so. */
const NOMINAL_STEPS = 1001;

const UNITS: Readonly<Record<string, string>> = {
  lr: 'learning rate',
  temperature: 'temperature',
  max_new_tokens: 'tokens',
  probability: 'probability',
  mixture: 'share of the teacher',
  fresh: 'probability',
  on_policy_weight: 'weight of the on-policy side',
  weight: 'factor',
  turns: 'turns a step',
};

/** At most `most` steps of `total`, evenly spread, the first and the last among them. */
function spread(total: number, most: number): readonly number[] {
  const count = Math.min(total, most);
  if (count === 1) return [0];
  return Array.from({ length: count }, (_, index) => Math.round((index * (total - 1)) / (count - 1)));
}

function sized(plan: StagePlan, steps: number): SizedStagePlan {
  const rows = Object.fromEntries(Object.keys(plan.orderSeeds).map((dataset) => [dataset, 1]));
  return withRows({ ...plan, training: { ...plan.training, steps, epochs: null } }, rows);
}

/**
 * Every schedule of a stage, read at `points` steps or less.
 *
 * @param total steps of the student, where they are known
 */
export function stageCurves(plan: StagePlan, total: number | null, points: number): StageCurves {
  const length = total ?? NOMINAL_STEPS;
  const steps = spread(length, points);
  const values = curvesOf(sized(plan, length), steps);
  const curves = Object.entries(plan.schedules).map(([name, schedule]) => ({
    name,
    unit: UNITS[name.slice(name.lastIndexOf('.') + 1)] ?? '',
    values: values[name] ?? [],
    constant: constantValue(schedule),
    moves:
      schedule.kind === 'adaptive'
        ? `moves to ${formatFigure(schedule.to)} as ${schedule.metric} gets no better`
        : null,
  }));
  const shown = total === null ? steps.map((step) => (100 * step) / (length - 1)) : steps;
  return { stage: plan.name, total, steps: shown, curves };
}

const HEIGHT = 8;

function drawn({ values }: ScheduleCurve, { steps, total }: StageCurves, colour: boolean): string {
  const last = steps[steps.length - 1] ?? 0;
  const low = Math.min(...values);
  const high = Math.max(...values);
  const chart = plot(
    values.map((value, index): [number, number] => [steps[index] ?? 0, value]),
    {
      width: Math.max(steps.length, 2),
      height: HEIGHT,
      customXAxisTicks: [0, last / 4, last / 2, (3 * last) / 4, last],
      customYAxisTicks: [...new Set([low, (low + high) / 2, high])],
      xLabel: total === null ? '% of the steps' : 'step of the student',
      formatter: (value, { axis }) => (axis === 'x' ? String(Math.round(value)) : formatFigure(value)),
      ...(colour ? { color: 'ansiCyan' as const } : {}),
    },
  );
  const lines = (chart ?? '').split('\n').map((line) => line.trimEnd());
  return lines.filter((line) => line !== '').join('\n');
}

const titleOf = ({ name, unit }: ScheduleCurve) => (unit === '' ? name : `${name} (${unit})`);

function curveText(curve: ScheduleCurve, stage: StageCurves, colour: boolean): string {
  const { values, moves } = curve;
  const [first = '', last = ''] = [values[0] ?? 0, values[values.length - 1] ?? 0].map(formatFigure);
  const course = moves === null ? `${first} → ${last}` : `${first}, ${moves}`;
  return `${titleOf(curve)}: ${course}\n${drawn(curve, stage, colour)}`;
}

/** A stage's schedules for a terminal: a curve each, and one line for each whose value never changes. */
export function plotStage(stage: StageCurves, colour: boolean): string {
  const length =
    stage.total === null
      ? 'as many steps as the data make; warm-ups drawn as if of 1,000'
      : `${stage.total} ${stage.total === 1 ? 'step' : 'steps'} of the student`;
  const curves = stage.curves
    .filter(({ constant }) => constant === null)
    .map((curve) => curveText(curve, stage, colour));
  const lines = stage.curves.flatMap((curve) =>
    curve.constant === null ? [] : [`${titleOf(curve)}: ${formatFigure(curve.constant)} throughout`],
  );
  return [`stage ${stage.stage}: ${length}`, ...curves, lines.join('\n')].filter(Boolean).join('\n\n');
}
