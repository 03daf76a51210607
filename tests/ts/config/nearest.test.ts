import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { editDistance, nearest, suggestion } from '../../../ts/config/nearest.js';

describe('edit distance', () => {
  test.each([
    ['', '', 0],
    ['abc', '', 3],
    ['kitten', 'sitting', 3],
    ['setps', 'steps', 1],
    ['lr', 'rl', 1],
  ])('%s to %s is %d', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
  });

  test('is symmetric, zero only for equal words, at most the longer length', () => {
    const word = fc.string({ maxLength: 8 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b);
        expect(editDistance(b, a)).toBe(distance);
        expect(distance === 0).toBe(a === b);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});

test('the nearest candidate is found whatever its case, and none when nothing is near', () => {
  expect(nearest('Batch_Sise', ['batch_size', 'micro_batch'])).toBe('batch_size');
  expect(nearest('banana', ['batch_size', 'steps'])).toBeNull();
});

test('a suggestion names the nearest, all known, or says that there are none', () => {
  expect(suggestion('stpes', ['steps', 'epochs'])).toBe('; did you mean "steps"?');
  expect(suggestion('zzzzzz', ['a', 'b'])).toBe('; known: a, b');
  expect(suggestion('zzz', [])).toBe('; there are none');
});
