/** Highest order of n-grams. */
const ORDERS = 4;

/**
 * What rows add to corpus BLEU, as the worker's `bleu` gives it for one row, or its sum over rows: `[10]` counts,
 * tokens of the responses, tokens of their closest references, matched n-grams of orders 1 to 4, n-grams of orders
 * 1 to 4.
 */
export type BleuStatistics = readonly number[];

interface Counts {
  readonly length: number;
  readonly referenceLength: number;
  /** `[4]` by order. */
  readonly matched: readonly number[];
  readonly total: readonly number[];
}

/** @throws {RangeError} there are not ten figures */
function countsOf(statistics: BleuStatistics): Counts {
  const [length, referenceLength, ...grams] = statistics;
  if (length === undefined || referenceLength === undefined || grams.length !== 2 * ORDERS)
    throw new RangeError(`BLEU is computed from ${2 + 2 * ORDERS} figures, not ${statistics.length}`);
  return { length, referenceLength, matched: grams.slice(0, ORDERS), total: grams.slice(ORDERS) };
}

/** Sums over rows, the statistics of the whole corpus; `[10]` zeros where there are no rows. */
function sumsOf(rows: readonly BleuStatistics[]): BleuStatistics {
  const zeros = Array.from({ length: 2 + 2 * ORDERS }, () => 0);
  return rows.reduce<number[]>((sums, row) => sums.map((sum, at) => sum + (row[at] ?? Number.NaN)), zeros);
}

/**
 * BLEU (Papineni et al. 2002) of a corpus, 0 to 100, as sacrebleu computes it by default: the geometric mean of the
 * precisions of orders 1 to 4 times the brevity penalty. An order without a match gets exponential smoothing, 1/2
 * match where it is the first such order, 1/4 where it is the second, and so on (NIST's, method 3 of Chen and Cherry
 * 2014). A corpus without any match, or in which no response has four tokens, has BLEU 0.
 *
 * @param sums - `[10]` over all rows
 */
export function corpusBleu(sums: BleuStatistics): number {
  const { length, referenceLength, matched, total } = countsOf(sums);
  if (matched.every((count) => count === 0) || total.includes(0)) return 0;
  let smoothed = 1;
  const logPrecisions = matched.map((count, order) => {
    if (count === 0) smoothed /= 2;
    return Math.log((100 * (count === 0 ? smoothed : count)) / (total[order] ?? Number.NaN));
  });
  const brevity = Math.min(0, 1 - referenceLength / length);
  return Math.exp(brevity + logPrecisions.reduce((sum, value) => sum + value, 0) / ORDERS);
}

/** Corpus BLEU of rows; as `corpusBleu`, whatever requests they came in. */
export const bleuOf = (rows: readonly BleuStatistics[]): number => corpusBleu(sumsOf(rows));

/**
 * `[10]` derivatives of log BLEU in the sums, where BLEU is not 0. A smoothed order has no matches to change: what is
 * left of it is its total.
 */
function logGradient(sums: BleuStatistics): readonly number[] {
  const { length, referenceLength, matched, total } = countsOf(sums);
  const brief = length < referenceLength;
  return [
    brief ? referenceLength / length ** 2 : 0,
    brief ? -1 / length : 0,
    ...matched.map((count) => (count === 0 ? 0 : 1 / (ORDERS * count))),
    ...total.map((count) => -1 / (ORDERS * count)),
  ];
}

const dot = (left: readonly number[], right: readonly number[]): number =>
  left.reduce((sum, value, at) => sum + value * (right[at] ?? Number.NaN), 0);

/**
 * Corpus BLEU as one score a row: the scores' mean is the BLEU of all rows, and the variance of that mean is BLEU's by
 * the delta method. So whatever takes means of scores over rows, decoding seeds and training seeds, resamples or pairs
 * them, holds for BLEU, to first order in the resampled sums.
 *
 * Derivation. Write B(S) for BLEU as a function of the sums S = Σ s_i of n rows. Giving row i the weight 1 + ε changes B
 * by ε ∇B(S)·s_i; n times that is the row's influence, and B plus it the row's pseudo-value in the infinitesimal
 * jackknife (Jaeckel 1972, *The infinitesimal jackknife*; Efron 1982, *The Jackknife, the Bootstrap and Other
 * Resampling Plans*, chapter 6). With g = ∇ log B the score is B (1 + n g·s_i − g·S). The last term centres: log B is a
 * sum of logarithms of ratios of sums, so g·S is 0 (Euler), but where an order is smoothed, whose matches are a constant.
 *
 * A score is no percentage: of a row that draws BLEU up or down by much it may be above 100 or below 0. It belongs to
 * these rows, and the mean over some of them is not their BLEU. At equal lengths, where the brevity penalty has a kink,
 * the side without the penalty counts.
 *
 * @param rows - `[n][10]`
 * @returns `[n]`; zeros where BLEU is 0
 */
export function bleuScores(rows: readonly BleuStatistics[]): readonly number[] {
  const sums = sumsOf(rows);
  const bleu = corpusBleu(sums);
  if (bleu === 0) return rows.map(() => 0);
  const gradient = logGradient(sums);
  const centre = dot(gradient, sums);
  return rows.map((row) => bleu * (1 + rows.length * dot(gradient, row) - centre));
}
