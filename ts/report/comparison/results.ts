import { mean, sampleStandardDeviation } from 'simple-statistics';
import { groupBy, rowScores, summarise } from '../../metrics/aggregate.js';
import { hierarchicalBootstrap } from '../../metrics/hierarchical_bootstrap.js';
import { pairedDifference } from '../../metrics/paired.js';
import type { DecodingKind, EvaluationRow } from '../../metrics/rows.js';
import { type ComparedSeries, teaches } from './compared_series.js';
import type { RunGroup } from './run_groups.js';

/** What was measured: one column of a table. */
export interface Measure {
  readonly dataset: string;
  readonly metric: string;
  readonly decoding: DecodingKind;
}

/** One series on one measure. */
export interface Score extends Measure {
  readonly series: string;
  /** One mean over decoding seeds for each training seed. */
  readonly values: readonly number[];
  readonly mean: number;
  /** Over training seeds, divisor n − 1; null with one. */
  readonly sd: number | null;
  /** 95 % percentile bootstrap interval over test rows; null where no scores by row were kept. */
  readonly interval: { readonly low: number; readonly high: number } | null;
  readonly rows: number;
  /** Hashes of the test rows: several where seeds had different ones, none where no manifest tells. */
  readonly contents: readonly string[];
}

/** Whether scores are known to be of different rows under one name. */
export const ofDifferentRows = (scores: readonly Score[]): boolean =>
  new Set(scores.flatMap(({ contents }) => contents)).size > 1;

/** `series` minus `against`, paired by test row; none where these are known to differ. */
export interface Difference extends Measure {
  readonly series: string;
  readonly against: string;
  readonly difference: number;
  readonly low: number;
  readonly high: number;
  /** Training seeds that both have, over which the interval reaches too; 1 where it is one of rows alone. */
  readonly seeds: number;
}

/** Means over training seeds. */
export interface Training {
  readonly series: string;
  readonly seeds: number;
  readonly steps: number;
  readonly tokens: number;
  readonly response_tokens: number;
  readonly drawn_tokens: number;
  readonly seconds: number;
}

/** What `results.json` of several runs holds. */
export interface ComparisonResults {
  readonly format: 'ammd-comparison';
  readonly version: 1;
  readonly runs: readonly {
    readonly group: string;
    readonly name: string;
    readonly folder: string;
    readonly seed: number | null;
    readonly config_sha256: string | null;
  }[];
  readonly scores: readonly Score[];
  /** The last student against each other series. */
  readonly differences: readonly Difference[];
  readonly training: readonly Training[];
}

export function compare(groups: readonly RunGroup[], series: readonly ComparedSeries[]): ComparisonResults {
  const measured = series.flatMap(measuredBy);
  const last = series.findLast(
    (it) => !teaches(it) && measured.some(({ score }) => score.series === it.name),
  );
  return {
    format: 'ammd-comparison',
    version: 1,
    runs: groups.flatMap(({ label, runs }) =>
      runs.map(({ name, folder, config }) => ({
        group: label,
        name,
        folder,
        seed: config?.value.seed ?? null,
        config_sha256: config?.sha256 ?? null,
      })),
    ),
    scores: measured.map(({ score }) => score),
    differences: last === undefined ? [] : differencesOf(measured, last.name),
    training: series.map(trainingOf).filter(({ steps }) => steps > 0),
  };
}

interface Measured {
  readonly score: Score;
  /** Scores by test row of each training seed, means over decoding seeds; empty where some were not kept. */
  readonly bySeed: ReadonlyMap<number | string, readonly number[]>;
}

const measureKey = ({ dataset, metric, decoding }: Measure): string =>
  JSON.stringify([dataset, metric, decoding]);

function measuredBy({ name, members, seeds }: ComparedSeries): Measured[] {
  const finals = members.map((stage) => stage.evaluations.filter((row) => row.final));
  return [...groupBy(finals.flat(), measureKey)].flatMap(([key, [first]]) => {
    const own = finals.map((rows, at) => ({
      seed: seeds[at] ?? `member ${at}`,
      rows: rows.filter((row) => measureKey(row) === key),
      content: members[at]?.contents?.[first?.dataset ?? ''],
    }));
    const known = own.filter(({ rows }) => rows.length > 0);
    return first === undefined ? [] : [measuredOn(name, first, known)];
  });
}

interface SeedRows {
  readonly seed: number | string;
  readonly rows: readonly EvaluationRow[];
  readonly content: string | undefined;
}

function measuredOn(
  series: string,
  { dataset, metric, decoding, rows: count }: EvaluationRow,
  own: readonly SeedRows[],
): Measured {
  const values = own.flatMap(({ rows }) =>
    summarise(rows)
      .slice(-1)
      .map((summary) => summary.mean),
  );
  const contents = [...new Set(own.flatMap(({ content }) => content ?? []))];
  const bySeed: Measured['bySeed'] = contents.length > 1 ? new Map() : scoresOf(own);
  const means = meansOf(bySeed);
  return {
    bySeed,
    score: {
      series,
      dataset,
      metric,
      decoding,
      values,
      mean: mean(values),
      sd: values.length < 2 ? null : sampleStandardDeviation(values),
      interval: means.length === 0 ? null : intervalOf(means),
      rows: count,
      contents,
    },
  };
}

function scoresOf(own: readonly SeedRows[]): ReadonlyMap<number | string, readonly number[]> {
  const scored = own.flatMap(({ seed, rows }): [number | string, readonly number[]][] => {
    const scores = rowScores(rows);
    return scores === undefined ? [] : [[seed, scores]];
  });
  const alike = scored.every(([, scores]) => scores.length === scored[0]?.[1].length);
  return new Map(alike && scored.length === own.length ? scored : []);
}

/** The mean score of each test row, over training seeds. */
function meansOf(bySeed: Measured['bySeed']): readonly number[] {
  const all = [...bySeed.values()];
  return (all[0] ?? []).map((_, row) => mean(all.map((scores) => scores[row] ?? Number.NaN)));
}

function intervalOf(scores: readonly number[]): { readonly low: number; readonly high: number } {
  const { low, high } = pairedDifference(
    scores,
    scores.map(() => 0),
  );
  return { low, high };
}

function differencesOf(measured: readonly Measured[], last: string): Difference[] {
  return [...groupBy(measured, ({ score }) => measureKey(score)).values()].flatMap((own) => {
    const left = own.find(({ score }) => score.series === last);
    if (left === undefined) return [];
    return own.flatMap((right) => {
      const { dataset, metric, decoding, series: against } = right.score;
      const unpaired = against === last || ofDifferentRows([left.score, right.score]);
      const found = unpaired ? undefined : differenceOf(left.bySeed, right.bySeed);
      return found === undefined ? [] : [{ series: last, against, dataset, metric, decoding, ...found }];
    });
  });
}

/** Enough for an interval; a table may have hundreds of them. */
const RESAMPLES = 1000;

function differenceOf(
  left: Measured['bySeed'],
  right: Measured['bySeed'],
): Pick<Difference, 'difference' | 'low' | 'high' | 'seeds'> | undefined {
  const [first, others] = [meansOf(left), meansOf(right)];
  if (first.length === 0 || first.length !== others.length) return undefined;
  const shared = [...left.keys()].filter((seed) => right.has(seed));
  const paired = shared.length >= 2;
  const of = (scores: Measured['bySeed']) => shared.map((seed) => scores.get(seed) ?? []);
  const { difference, low, high } = paired
    ? hierarchicalBootstrap(of(left), of(right), { resamples: RESAMPLES })
    : pairedDifference(first, others);
  return { difference, low, high, seeds: paired ? shared.length : 1 };
}

function trainingOf({ name, members }: ComparedSeries): Training {
  const all = members.map((stage) => stage.steps.totals.throughput).filter(({ steps }) => steps > 0);
  const average = (value: (one: (typeof all)[number]) => number): number =>
    all.length === 0 ? 0 : mean(all.map(value));
  return {
    series: name,
    seeds: all.length,
    steps: average((one) => one.steps),
    tokens: average((one) => one.tokens),
    response_tokens: average((one) => one.response_tokens),
    drawn_tokens: average((one) => one.drawn_tokens),
    seconds: average((one) => one.seconds),
  };
}
