import { mean } from 'simple-statistics';
import { groupBy, summarise } from '../../metrics/aggregate.js';
import { metricTitle } from '../formats/metric_titles.js';
import type { StageData } from '../read/run.js';
import { meanOf, type StepHistory, type Track } from '../read/step_history.js';
import { curveGroupOf, inReadingOrder, OPTIONAL_CURVES } from './curve_order.js';
import type { Series } from './series.js';

/** A point of a curve: the mean over a window of steps that ends at `step`, and how far figures reach about it. */
export interface Point {
  readonly step: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface Curve {
  readonly title: string;
  /** Name of a series → its points; series without a figure are not in it. */
  readonly lines: ReadonlyMap<string, readonly Point[]>;
}

export interface CurveGroup {
  readonly title: string;
  readonly note: string;
  readonly curves: readonly Curve[];
}

/** All curves of some series, overlaid and grouped; groups without a curve are left out. */
export function curvesOf(series: readonly Series[]): CurveGroup[] {
  const stages = series.flatMap(({ members }) => members);
  const names = new Set(stages.flatMap(({ steps }) => steps.names));
  const curves = [
    ...[...names].map((name) => curve(series, name, (steps) => steps.metric(name))),
    curve(series, 'lr', (steps) => steps.lr),
    curve(series, 'critic_lr', (steps) => steps.criticLr),
  ].filter((it) => it.lines.size > 0 && !(OPTIONAL_CURVES.test(it.title) && isZero(it)));
  const byGroup = groupBy(curves, ({ title }) => curveGroupOf(title).title);
  const groups = [...byGroup.values()].map((members) => {
    const { title, note, place } = curveGroupOf(members[0]?.title ?? '');
    return { title, note, place, curves: inReadingOrder(members) };
  });
  groups.sort((left, right) => left.place - right.place);
  return [validationGroup(series), ...groups].filter((group) => group.curves.length > 0);
}

function isZero({ lines }: Curve): boolean {
  return [...lines.values()].flat().every(({ low, high }) => low === 0 && high === 0);
}

function curve(series: readonly Series[], title: string, track: (steps: StepHistory) => Track): Curve {
  const most = pointsOfALine(series.length);
  const lines = series.map(({ name, members }): [string, readonly Point[]] => [
    name,
    windows(
      members.map(({ steps }) => track(steps)),
      most,
    ),
  ]);
  return { title, lines: new Map(lines.filter(([, points]) => points.length > 0)) };
}

/** A mean over a window reads better than noise, and keeps the page small; many lines need fewer points each. */
function pointsOfALine(lines: number): number {
  return Math.max(30, Math.min(80, Math.floor(600 / lines)));
}

/**
 * Means over windows of equal numbers of steps with a figure, or of spans where a track has wider ones.
 *
 * @param members the track of each seed. Of one, `low` and `high` are the extremes within a window; of several, the
 *   mean is that of the seeds' means, `low` and `high` are the smallest and the largest of them, and the last step is
 *   the last that all have.
 */
export function windows(members: readonly Track[], most: number): Point[] {
  const width = Math.max(...members.map((track) => track.width));
  const figures = members.map((track) => track.widenedTo(width).spans);
  const logged = figures.map((known) => [...known.keys()]);
  const until = lastOfAll(logged);
  const places = [...new Set(logged.flat())].filter((place) => place <= until).sort((a, b) => a - b);
  const size = Math.ceil(places.length / most);
  const count = Math.ceil(places.length / Math.max(1, size));
  return Array.from({ length: count }, (_, at) => places.slice(at * size, (at + 1) * size)).map((window) => {
    const own = figures.map((known) => window.flatMap((place) => known.get(place) ?? []));
    const means = own.filter((found) => found.length > 0).map(meanOf);
    const extremes = own.flat().flatMap(({ low, high }) => [low, high]);
    const ends = figures.flatMap((known) => known.get(window.at(-1) ?? 0)?.step ?? []);
    return { step: Math.min(...ends), ...spread(means, members.length > 1 ? means : extremes) };
  });
}

/** The last step before any of those that have steps ends: from there on, the mean of the others would jump. */
function lastOfAll(members: readonly (readonly number[])[]): number {
  return Math.min(...members.flatMap((steps) => steps.at(-1) ?? []));
}

function spread(means: readonly number[], figures: readonly number[]): Omit<Point, 'step'> {
  return { mean: mean([...means]), low: Math.min(...figures), high: Math.max(...figures) };
}

/** Evaluations taken during training: mean over decoding seeds, then over training seeds. */
function validationGroup(series: readonly Series[]): CurveGroup {
  const summaries = series.flatMap(({ name, members }) =>
    members.flatMap((stage, member) =>
      during(stage).map((summary) => ({ ...summary, series: name, member, alone: members.length === 1 })),
    ),
  );
  const titled = groupBy(
    summaries,
    (it) => `${metricTitle(it.metric)}, ${it.dataset}, ${it.decoding.replace('_', ' ')}`,
  );
  const curves = [...titled].map(([title, points]) => ({
    title,
    lines: new Map([...groupBy(points, (it) => it.series)].map(([name, own]) => [name, overSeeds(own)])),
  }));
  return {
    title: 'Evaluation during training',
    note: 'Mean over decoding seeds, with one standard deviation where there are several; of several training seeds their mean, smallest and largest, as far as all of them went.',
    // What was evaluated only before the first step is a result, not a curve.
    curves: curves.filter(({ lines }) => [...lines.values()].flat().some(({ step }) => step > 0)),
  };
}

function during(stage: StageData) {
  return summarise(stage.evaluations.filter((row) => !row.final));
}

function overSeeds(
  summaries: readonly {
    readonly member: number;
    readonly step: number;
    readonly mean: number;
    readonly sd: number | null;
    readonly alone: boolean;
  }[],
): Point[] {
  const until = lastOfAll(
    [...groupBy(summaries, ({ member }) => String(member)).values()].map((own) =>
      own.map(({ step }) => step),
    ),
  );
  return [...groupBy(summaries, ({ step }) => String(step)).values()]
    .filter(([first]) => (first?.step ?? 0) <= until)
    .map((own) => {
      const means = own.map((it) => it.mean);
      const figures = own.flatMap((it) =>
        it.alone ? [it.mean - (it.sd ?? 0), it.mean + (it.sd ?? 0)] : [it.mean],
      );
      return { step: own[0]?.step ?? 0, ...spread(means, figures) };
    })
    .sort((left, right) => left.step - right.step);
}
