import { mean, quantileSorted } from 'simple-statistics';
import { seeded } from '../common/random.js';
import { groupBy, modelName, rowScores } from './aggregate.js';
import type { DecodingKind, EvaluationRow } from './rows.js';

/** A difference of two means over the same rows, with its percentile bootstrap interval. */
export interface Interval {
  readonly difference: number;
  readonly low: number;
  readonly high: number;
  readonly rows: number;
}

export interface BootstrapOptions {
  readonly seed?: number;
  readonly resamples?: number;
  readonly confidence?: number;
}

/**
 * Mean of `left[i] − right[i]` with a percentile bootstrap interval over rows (Efron 1979), the same for the
 * same seed. It covers the choice of test rows, not of the training seed.
 *
 * @throws {RangeError} the scores are not of the same rows, or there are none
 */
export function pairedDifference(
  left: readonly number[],
  right: readonly number[],
  { seed = 0, resamples = 2000, confidence = 0.95 }: BootstrapOptions = {},
): Interval {
  if (left.length !== right.length || left.length === 0) {
    throw new RangeError(`paired scores of ${left.length} and ${right.length} rows`);
  }
  const differences = Float64Array.from(left, (score, index) => score - (right[index] ?? Number.NaN));
  const draw = seeded(seed, 0);
  const means = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample += 1) {
    let sum = 0;
    for (let count = 0; count < differences.length; count += 1) {
      sum += differences[Math.floor((draw() / 2 ** 32) * differences.length)] ?? Number.NaN;
    }
    means[resample] = sum / differences.length;
  }
  const sorted = Array.from(means.sort());
  const tail = (1 - confidence) / 2;
  return {
    difference: mean([...differences]),
    low: quantileSorted(sorted, tail),
    high: quantileSorted(sorted, 1 - tail),
    rows: differences.length,
  };
}

/** One model's score minus another's, on one dataset and metric, under the same decoding. */
export interface Comparison extends Interval {
  /** Names as `modelName` gives them. */
  readonly model: string;
  readonly against: string;
  readonly dataset: string;
  readonly metric: string;
  readonly decoding: DecodingKind;
}

/** `model` against every other model that has per-row scores of the same rows. */
export function compareModels(
  rows: readonly EvaluationRow[],
  model: string,
  options: BootstrapOptions = {},
): Comparison[] {
  const scored = rows.filter((row) => row.scores !== undefined);
  const tests = groupBy(scored, (row) => JSON.stringify([row.dataset, row.metric, row.decoding]));
  return [...tests.values()].flatMap((test) => compareOnTest(test, model, options));
}

function compareOnTest(
  test: readonly EvaluationRow[],
  model: string,
  options: BootstrapOptions,
): Comparison[] {
  const byModel = groupBy(test, modelName);
  const scores = rowScores(byModel.get(model) ?? []);
  if (scores === undefined) return [];
  return [...byModel].flatMap(([against, rows]) => {
    const [first] = rows;
    const others = rowScores(rows);
    if (against === model || first === undefined || others?.length !== scores.length) return [];
    const { dataset, metric, decoding } = first;
    return [{ model, against, dataset, metric, decoding, ...pairedDifference(scores, others, options) }];
  });
}
