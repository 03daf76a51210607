import jstat from 'jstat';
import { mean, sampleStandardDeviation } from 'simple-statistics';
import type { ReferenceNumber, TableCell } from '../metrics/table_file.js';
import { FEWEST_SEEDS } from '../metrics/tested_difference.js';

/**
 * The 95 % interval of the mean of independent normal values (Student 1908).
 *
 * @throws {RangeError} fewer than two values
 */
export function meanInterval(values: readonly number[]): readonly [low: number, high: number] {
  if (values.length < 2) throw new RangeError('an interval needs at least two values');
  const centre = mean([...values]);
  const error = sampleStandardDeviation([...values]) / Math.sqrt(values.length);
  const half = jstat.studentt.inv(0.975, values.length - 1) * error;
  return [centre - half, centre + half];
}

/**
 * Whether our figure is the reference's: its number lies in the 95 % interval of our mean over training seeds,
 * widened to both sides by the spread that the source states.
 *
 * @param values - one mean for each training seed
 * @param incomparable - why the reference is of another experiment than ours; null where it is of the same
 */
export function verdict(
  values: readonly number[],
  reference: ReferenceNumber | null,
  incomparable: string | null,
): Pick<TableCell, 'verdict' | 'reason'> {
  if (incomparable !== null) return { verdict: 'not_comparable', reason: incomparable };
  if (reference === null) return { verdict: 'not_comparable', reason: 'no reference number' };
  if (values.length < FEWEST_SEEDS) {
    return {
      verdict: 'not_enough_seeds',
      reason: `${values.length} of at least ${FEWEST_SEEDS} training seeds`,
    };
  }
  const [low, high] = meanInterval(values);
  const spread = reference.sd ?? 0;
  const interval = `the 95 % interval ${low.toFixed(2)} to ${high.toFixed(2)}${
    spread === 0 ? '' : `, widened by the reference's ± ${spread}`
  }`;
  if (low - spread <= reference.value && reference.value <= high + spread) {
    return { verdict: 'reproduced', reason: `${reference.value} lies in ${interval}` };
  }
  const difference = mean([...values]) - reference.value;
  const size = Math.abs(difference).toFixed(2);
  return {
    verdict: 'differs',
    reason: `${size} ${difference > 0 ? 'above' : 'below'} ${reference.value}, which is outside ${interval}`,
  };
}
