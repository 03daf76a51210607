import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { permutation, streamSeed, xoshiro128 } from '../../../ts/common/random.js';

describe('named streams', () => {
  test('are fixed: a change here would change every run', () => {
    expect(streamSeed(7, 'stage', 'ammd', 'rollout', 'on')).toBe(334718291866631);
  });

  test('differ by root, name, number of names and type of name', () => {
    const seeds = [
      streamSeed(0),
      streamSeed(1),
      streamSeed(0, 'a'),
      streamSeed(0, 'a', 'b'),
      streamSeed(0, 'a,b'),
      streamSeed(0, 'ab'),
      streamSeed(0, '1'),
      streamSeed(0, 1),
    ];
    expect(new Set(seeds).size).toBe(seeds.length);
  });

  test('fit the wire: integers from 0, below 2^53', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.array(fc.string()), (root, names) => {
        const seed = streamSeed(root, ...names);
        expect(Number.isSafeInteger(seed) && seed >= 0).toBe(true);
      }),
    );
  });
});

test('the generator gives the published sequence of xoshiro128**', () => {
  const next = xoshiro128([1, 2, 3, 4]);
  const published = [
    11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
  ];
  expect(published.map(() => next())).toEqual(published);
});

describe('permutation', () => {
  test('has every row once, and is the same for the same key', () => {
    fc.assert(
      fc.property(fc.nat(500), fc.maxSafeNat(), fc.nat(1000), (n, seed, epoch) => {
        const order = permutation(n, seed, epoch);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
        expect(permutation(n, seed, epoch)).toEqual(order);
      }),
    );
  });

  test('differs by seed and epoch', () => {
    const orders = [permutation(50, 1, 0), permutation(50, 1, 1), permutation(50, 2, 0)].map(String);
    expect(new Set(orders).size).toBe(3);
  });

  test('all orders of three rows are equally likely', () => {
    const counts = new Map<string, number>();
    for (let epoch = 0; epoch < 6000; epoch += 1) {
      const key = String(permutation(3, 11, epoch));
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    // Chi-square with 5 degrees of freedom: 20.5 is passed once in a thousand; the seeds are fixed.
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(20.5);
  });
});
