import { mean, sampleStandardDeviation } from 'simple-statistics';
import { groupBy, rowScores, summarise, throughput } from '../metrics/aggregate.js';
import { pairedDifference } from '../metrics/paired.js';
import type { Decoding, EvaluationRow } from '../metrics/rows.js';
import { teaches } from './compared_series.js';
import type { RunGroup } from './run_groups.js';
import type { Series } from './series.js';

/** What was measured: one column of a table. */
export interface Measure {
  readonly dataset: string;
  readonly metric: string;
  readonly decoding: Decoding;
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
}

/** `series` minus `against`, paired by test row. */
export interface Difference extends Measure {
  readonly series: string;
  readonly against: string;
  readonly difference: number;
  readonly low: number;
  readonly high: number;
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

export function compare(groups: readonly RunGroup[], series: readonly Series[]): ComparisonResults {
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
  /** Of each test row, mean over decoding seeds and training seeds. */
  readonly rows: readonly number[] | undefined;
}

const measureKey = ({ dataset, metric, decoding }: Measure): string =>
  JSON.stringify([dataset, metric, decoding]);

function measuredBy({ name, members }: Series): Measured[] {
  const finals = members.map((stage) => stage.evaluations.filter((row) => row.final));
  return [...groupBy(finals.flat(), measureKey)].flatMap(([key, [first]]) => {
    const bySeed = finals
      .map((rows) => rows.filter((row) => measureKey(row) === key))
      .filter((rows) => rows.length > 0);
    return first === undefined ? [] : [measuredOn(name, first, bySeed)];
  });
}

function measuredOn(
  series: string,
  { dataset, metric, decoding, rows: count }: EvaluationRow,
  bySeed: readonly (readonly EvaluationRow[])[],
): Measured {
  const values = bySeed.flatMap((rows) =>
    summarise(rows)
      .slice(-1)
      .map((summary) => summary.mean),
  );
  const rows = meanOfRows(bySeed.map(rowScores));
  const { low, high } =
    rows === undefined
      ? { low: null, high: null }
      : pairedDifference(
          rows,
          rows.map(() => 0),
        );
  return {
    rows,
    score: {
      series,
      dataset,
      metric,
      decoding,
      values,
      mean: mean(values),
      sd: values.length < 2 ? null : sampleStandardDeviation(values),
      interval: low === null || high === null ? null : { low, high },
      rows: count,
    },
  };
}

function meanOfRows(seeds: readonly (readonly number[] | undefined)[]): readonly number[] | undefined {
  const [first] = seeds;
  const known = seeds.filter((scores) => scores?.length === first?.length && scores !== undefined);
  if (first === undefined || known.length < seeds.length) return undefined;
  return first.map((_, row) => mean(known.map((scores) => scores?.[row] ?? Number.NaN)));
}

function differencesOf(measured: readonly Measured[], last: string): Difference[] {
  return [...groupBy(measured, ({ score }) => measureKey(score)).values()].flatMap((own) => {
    const rows = own.find(({ score }) => score.series === last)?.rows;
    if (rows === undefined) return [];
    return own.flatMap(({ score, rows: others }) => {
      if (score.series === last || others?.length !== rows.length) return [];
      const { dataset, metric, decoding, series: against } = score;
      const { difference, low, high } = pairedDifference(rows, others);
      return [{ series: last, against, dataset, metric, decoding, difference, low, high }];
    });
  });
}

function trainingOf({ name, members }: Series): Training {
  const all = members.map((stage) => throughput(stage.steps)).filter(({ steps }) => steps > 0);
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
