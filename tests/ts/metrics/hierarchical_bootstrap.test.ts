import { describe, expect, test } from '@jest/globals';
import { type Generator, seeded } from '../../../ts/common/random.js';
import { hierarchicalBootstrap, type SeedScores } from '../../../ts/metrics/hierarchical_bootstrap.js';
import { reference } from '../../fixtures/statistics/reference.js';
import { normal } from './normal.js';

interface Design {
  readonly seeds: number;
  readonly rows: number;
  /** Standard deviations of what seeds, rows and single pairs of them add to the difference. */
  readonly bySeed: number;
  readonly byRow: number;
  readonly byPair: number;
}

/** Scores of two methods of which the left one is better by `effect`. */
function crossed(
  { seeds, rows, bySeed, byRow, byPair }: Design,
  effect: number,
  draw: Generator,
): [SeedScores, SeedScores] {
  const rowEffects = Array.from({ length: rows }, () => byRow * normal(draw));
  const left = Array.from({ length: seeds }, () => {
    const seedEffect = effect + bySeed * normal(draw);
    return rowEffects.map((rowEffect) => seedEffect + rowEffect + byPair * normal(draw));
  });
  return [left, left.map((scores) => scores.map(() => 0))];
}

const DESIGN: Design = { seeds: 5, rows: 12, bySeed: 1, byRow: 3, byPair: 2 };

describe('against numpy', () => {
  test.each(reference.same_draws)('the same with the same draws: seed $seed', (scene) => {
    const { left, right, seed, resamples, expected } = scene;
    const found = hierarchicalBootstrap(left, right, { seed, resamples });
    expect(found.difference).toBeCloseTo(expected.difference, 10);
    expect(found.low).toBeCloseTo(expected.low, 10);
    expect(found.high).toBeCloseTo(expected.high, 10);
    expect(found.p).toBeCloseTo(expected.p, 12);
    expect(found).toMatchObject({ seeds: left.length, rows: left[0]?.length, resamples });
  });

  test('alike with other draws', () => {
    const { left, right, expected } = reference.other_draws;
    const found = hierarchicalBootstrap(left, right, { seed: 1 });
    const width = expected.high - expected.low;
    expect(Math.abs(found.low - expected.low)).toBeLessThan(0.03 * width);
    expect(Math.abs(found.high - expected.high)).toBeLessThan(0.03 * width);
    expect(Math.abs(found.p - expected.p)).toBeLessThan(0.02);
  });
});

describe('what must not matter', () => {
  const options = { seed: 4, resamples: 400 };
  const [left, right] = crossed(DESIGN, 1, seeded(8, 0));
  const found = hierarchicalBootstrap(left, right, options);

  test('sides exchanged: the negative', () => {
    const turned = hierarchicalBootstrap(right, left, options);
    expect(turned.difference).toBeCloseTo(-found.difference, 10);
    expect(turned.low).toBeCloseTo(-found.high, 10);
    expect(turned.high).toBeCloseTo(-found.low, 10);
    expect(turned.p).toBe(found.p);
  });

  test('what both methods have in common, by row and seed', () => {
    const draw = seeded(9, 0);
    const common = left.map((scores) => scores.map(() => 20 * normal(draw)));
    const shift = (scores: SeedScores): SeedScores =>
      scores.map((row, seed) => row.map((score, at) => score + (common[seed]?.[at] ?? Number.NaN)));
    const shifted = hierarchicalBootstrap(shift(left), shift(right), options);
    expect(shifted.low).toBeCloseTo(found.low, 8);
    expect(shifted.high).toBeCloseTo(found.high, 8);
    expect(shifted.p).toBe(found.p);
  });

  test('a constant: the interval moves with it', () => {
    const more = left.map((scores) => scores.map((score) => score + 5));
    const moved = hierarchicalBootstrap(more, right, options);
    expect(moved.low).toBeCloseTo(found.low + 5, 8);
    expect(moved.high).toBeCloseTo(found.high + 5, 8);
  });

  test('the order of rows and of seeds, up to the noise of resampling', () => {
    const turn = (scores: SeedScores): SeedScores => scores.map((row) => [...row].reverse()).reverse();
    const many = { seed: 4, resamples: 10_000 };
    const straight = hierarchicalBootstrap(left, right, many);
    const turned = hierarchicalBootstrap(turn(left), turn(right), many);
    const width = straight.high - straight.low;
    expect(turned.difference).toBeCloseTo(straight.difference, 10);
    expect(Math.abs(turned.low - straight.low)).toBeLessThan(0.04 * width);
    expect(Math.abs(turned.high - straight.high)).toBeLessThan(0.04 * width);
  });

  test('it is the same for the same seed, and not for another', () => {
    expect(hierarchicalBootstrap(left, right, options)).toEqual(found);
    expect(hierarchicalBootstrap(left, right, { ...options, seed: 5 }).low).not.toBe(found.low);
  });
});

describe('coverage of a nominal 95 % interval', () => {
  const TRIALS = 200;

  /** Shares of simulated experiments whose interval has the true effect, and whose p value is below 0.05. */
  function shares(design: Design, effect: number): { held: number; small: number } {
    let [held, small] = [0, 0];
    for (let trial = 0; trial < TRIALS; trial += 1) {
      const [left, right] = crossed(design, effect, seeded(2024, trial));
      const { low, high, p } = hierarchicalBootstrap(left, right, { seed: trial, resamples: 200 });
      if (low <= effect && effect <= high) held += 1;
      if (p < 0.05) small += 1;
    }
    return { held: held / TRIALS, small: small / TRIALS };
  }

  // Three standard errors of a share of 0.95 in 200 trials are 0.046.
  test.each<[string, Design, number, number]>([
    ['rows differ most', { seeds: 5, rows: 40, bySeed: 0.1, byRow: 3, byPair: 1 }, 0.9, 0.99],
    ['seeds differ most', { seeds: 20, rows: 12, bySeed: 3, byRow: 1, byPair: 1 }, 0.88, 0.98],
    ['single pairs differ most: wide', { seeds: 8, rows: 20, bySeed: 0.2, byRow: 0.2, byPair: 4 }, 0.98, 1],
    ['all alike', { seeds: 6, rows: 25, bySeed: 1, byRow: 2, byPair: 4 }, 0.92, 1],
  ])('%s', (_, design, least, most) => {
    const { held, small } = shares(design, 0);
    expect(held).toBeGreaterThanOrEqual(least);
    expect(held).toBeLessThanOrEqual(most);
    expect(small).toBeLessThanOrEqual(1 - least + 0.02);
  });

  test('an effect of four standard errors is seen', () => {
    const design: Design = { seeds: 10, rows: 40, bySeed: 1, byRow: 3, byPair: 1 };
    const error = Math.sqrt(1 / 10 + 9 / 40 + 1 / 400);
    expect(shares(design, 4 * error).small).toBeGreaterThan(0.9);
  });
});

describe('degenerate scores', () => {
  test('a constant difference has no width, and the smallest p value there is', () => {
    const right = [
      [1, 50, 2],
      [8, 7, 100],
    ];
    const left = right.map((scores) => scores.map((score) => score + 4));
    expect(hierarchicalBootstrap(left, right, { resamples: 99 })).toMatchObject({
      difference: 4,
      low: 4,
      high: 4,
      p: 0.02,
    });
  });

  test('equal scores: p is 1', () => {
    const scores = [
      [3, 4],
      [5, 6],
    ];
    expect(hierarchicalBootstrap(scores, scores, { resamples: 50 })).toMatchObject({ low: 0, high: 0, p: 1 });
  });

  test.each<[SeedScores, SeedScores, RegExp]>([
    [[[1, 2]], [[3, 4]], /one training seed/],
    [[], [], /at least two/],
    [[[], []], [[], []], /no test rows/],
    [[[1], [2]], [[1]], /2 and 1 training seeds/],
    [[[1], [2]], [[1], [2, 3]], /1 and 2 rows/],
    [[[1, 2], [2]], [[1, 2], [2]], /1 and 1 rows, not 2/],
  ])('refused: %j and %j', (left, right, message) => {
    expect(() => hierarchicalBootstrap(left, right)).toThrow(message);
    expect(() => hierarchicalBootstrap(left, right)).toThrow(RangeError);
  });
});
