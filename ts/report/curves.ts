import { groupBy, summarise } from '../metrics/aggregate.js';
import type { StepRow } from '../metrics/rows.js';
import type { StageData } from './read_run.js';
import { metricTitle } from './result_tables.js';

/** A point of a curve: the mean over a window of steps that ends at `step`, and the window's extremes. */
export interface Point {
  readonly step: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface Curve {
  readonly title: string;
  /** Stage name → its points; stages without a figure are not in it. */
  readonly lines: ReadonlyMap<string, readonly Point[]>;
}

export interface CurveGroup {
  readonly title: string;
  readonly note: string;
  readonly curves: readonly Curve[];
}

interface Rule {
  readonly title: string;
  readonly note: string;
  readonly names: RegExp;
  /** Of several rules that fit, the one with the smallest rank: a critic's gradient norm is a norm. */
  readonly rank: number;
}

/** Where a metric's curve goes, by its name, in the order of the page. */
const GROUPS: readonly Rule[] = [
  {
    title: 'Losses',
    note: 'Each a mean per token of its own part of the batch, before its weight.',
    names: /^loss/,
    rank: 1,
  },
  {
    title: 'Moment matching',
    note: 'd: sum of moment gaps over a response, mean over responses. tightness: moment gap over its largest possible value, 1 for the perfect critic.',
    names: /(^|[_/])(d|gap|tightness|optimality|objective|value|saturated|critic)([_/]|$)/,
    rank: 2,
  },
  {
    title: 'Distance to the teacher',
    note: 'Per token, by part of the batch (off: dataset or teacher, on: drawn by the student), in nats; tv between 0 and 1.',
    names: /(^|[_/])(tv|tvd|kl|jsd|divergence)([_/]|$)/,
    rank: 4,
  },
  {
    title: 'Policy',
    note: 'Entropy in nats per token; length in tokens; eos: share of responses that ended by themselves. Falling length or eos is an alarm.',
    names: /(^|[_/])(entropy|length|eos|ended|rollout)([_/]|$)/,
    rank: 3,
  },
  {
    title: 'Gradients and schedules',
    note: 'Norms before clipping. schedule: where what changes with the steps stood. skipped: updates left out because a gradient was not finite; drawn where there were any. loss_scale: factor that keeps float16 gradients in range.',
    names: /(^|[_/])(grad|gradient|norm|lr|skipped|clip|loss_scale|schedule)([_/]|$)/,
    rank: 0,
  },
];
/** Nothing that was logged is missing from the page. */
const OTHER: Rule = { title: 'Other', note: '', names: /^/, rank: 9 };

/** All curves of some stages, overlaid and grouped; groups without a curve are left out. */
export function curvesOf(stages: readonly StageData[]): CurveGroup[] {
  const names = [
    ...new Set(stages.flatMap((stage) => stage.steps.flatMap((row) => Object.keys(row.metrics)))),
  ];
  const byGroup = groupBy(
    [...names.map((name) => metricCurve(stages, name)), ...scheduleCurves(stages)].filter(
      (curve) => curve.lines.size > 0 && !(/skipped$/.test(curve.title) && isZero(curve)),
    ),
    (curve) => groupOf(curve.title),
  );
  const groups = [...GROUPS, OTHER].map(({ title, note }) => ({
    title,
    note,
    curves: inReadingOrder(byGroup.get(title) ?? []),
  }));
  return [validationGroup(stages), ...groups].filter((group) => group.curves.length > 0);
}

/** What a reader looks for first; the rest follows by name. */
const LEADING = [
  'loss',
  'd',
  'tightness',
  'tv',
  'forward_kl',
  'reverse_kl',
  'student_entropy',
  'gradient_norm',
];

/** Curves of one quantity on several parts stand beside each other: critic/off/gap, critic/on/gap. */
function inReadingOrder(curves: readonly Curve[]): Curve[] {
  const quantity = (title: string): string =>
    title.replaceAll(/(^|[/_])(critic|on|off)(?=[/_]|$)/g, '').replace(/^[/_]/, '');
  const place = (title: string): string => {
    const leading = LEADING.findIndex((name) => `${quantity(title)}_`.startsWith(`${name}_`));
    return `${leading < 0 ? LEADING.length : leading} ${quantity(title)} ${title}`;
  };
  return [...curves].sort((left, right) => (place(left.title) < place(right.title) ? -1 : 1));
}

function isZero({ lines }: Curve): boolean {
  return [...lines.values()].flat().every(({ low, high }) => low === 0 && high === 0);
}

function groupOf(name: string): string {
  const fitting = [...GROUPS, OTHER].filter((group) => group.names.test(name));
  return fitting.reduce((left, right) => (right.rank < left.rank ? right : left)).title;
}

function metricCurve(stages: readonly StageData[], name: string): Curve {
  return curve(stages, name, (row) => row.metrics[name] ?? null);
}

function scheduleCurves(stages: readonly StageData[]): Curve[] {
  return [curve(stages, 'lr', (row) => row.lr), curve(stages, 'critic_lr', (row) => row.critic_lr)];
}

function curve(stages: readonly StageData[], title: string, value: (row: StepRow) => number | null): Curve {
  const lines = stages.map((stage): [string, readonly Point[]] => [stage.name, windows(stage.steps, value)]);
  return { title, lines: new Map(lines.filter(([, points]) => points.length > 0)) };
}

/** At most this many points a line: a mean over a window reads better than noise, and keeps the page small. */
const MOST_POINTS = 80;

/** Means over windows of equal numbers of known values; nulls are left out. */
export function windows(rows: readonly StepRow[], value: (row: StepRow) => number | null): Point[] {
  const known = rows.flatMap((row) => {
    const figure = value(row);
    return figure === null ? [] : [{ step: row.step, figure }];
  });
  const size = Math.ceil(known.length / MOST_POINTS);
  const points: Point[] = [];
  for (let start = 0; start < known.length; start += size) {
    const window = known.slice(start, start + size);
    const figures = window.map(({ figure }) => figure);
    points.push({
      step: window.at(-1)?.step ?? 0,
      mean: figures.reduce((sum, figure) => sum + figure, 0) / figures.length,
      low: Math.min(...figures),
      high: Math.max(...figures),
    });
  }
  return points;
}

/** Evaluations taken during training: mean over decoding seeds. */
function validationGroup(stages: readonly StageData[]): CurveGroup {
  const rows = stages.flatMap((stage) => stage.evaluations.filter((row) => !row.final));
  const groups = groupBy(
    summarise(rows),
    (it) => `${metricTitle(it.metric)}, ${it.dataset}, ${it.decoding.replace('_', ' ')}`,
  );
  const curves = [...groups].map(([title, summaries]) => ({
    title,
    lines: new Map(
      [...groupBy(summaries, (summary) => summary.stage)].map(([stage, points]) => [
        stage,
        points.map(({ step, mean, sd }) => ({ step, mean, low: mean - (sd ?? 0), high: mean + (sd ?? 0) })),
      ]),
    ),
  }));
  return {
    title: 'Evaluation during training',
    note: 'Mean over decoding seeds, with one standard deviation where there are several.',
    // What was evaluated only before the first step is a result, not a curve.
    curves: curves.filter(({ lines }) => [...lines.values()].flat().some(({ step }) => step > 0)),
  };
}
