import { createHash } from 'node:crypto';

/**
 * Seed of the stream that `names` name under a root seed: the first 53 bits of a SHA-256, so that streams of
 * different names are independent and adding one changes no other.
 *
 * @returns an integer in [0, 2^53)
 */
export function streamSeed(root: number, ...names: readonly (string | number)[]): number {
  const digest = createHash('sha256')
    .update(JSON.stringify([root, ...names]))
    .digest();
  return Number(digest.readBigUInt64BE(0) >> 11n);
}

/** Draws 32-bit unsigned integers. */
export type Generator = () => number;

/** xoshiro128** (Blackman and Vigna 2018): 128 bits of state, period 2^128 - 1. */
export function xoshiro128(state: readonly [number, number, number, number]): Generator {
  let [a, b, c, d] = state;
  return () => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
}

/** The generator of one stream of a seed. */
export function seeded(seed: number, stream: number): Generator {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, stream]))
    .digest();
  return xoshiro128([
    digest.readUInt32LE(0),
    digest.readUInt32LE(4),
    digest.readUInt32LE(8),
    digest.readUInt32LE(12),
  ]);
}

/** One number from U(0, 1), 1 excluded: the first draw of one stream of a seed, 32 bits of it. */
export const uniform = (seed: number, stream: number): number => seeded(seed, stream)() / 2 ** 32;

/**
 * A uniform integer in [0, bound), without modulo bias: the few draws past the last multiple are repeated.
 */
function below(bound: number, next: Generator): number {
  const limit = 2 ** 32 - (2 ** 32 % bound);
  for (;;) {
    const draw = next();
    if (draw < limit) return draw % bound;
  }
}

/**
 * The order of `n` rows in one epoch: a Fisher-Yates shuffle keyed by seed and epoch, O(n).
 *
 * @param n - rows, below 2^32
 * @returns `[n]` every number from 0 to n - 1 once
 */
export function permutation(n: number, seed: number, epoch: number): Uint32Array {
  const next = seeded(seed, epoch);
  const order = Uint32Array.from({ length: n }, (_, row) => row);
  for (let last = n - 1; last > 0; last -= 1) {
    const other = below(last + 1, next);
    const moved = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = moved;
  }
  return order;
}
