import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { holm } from '../../../ts/metrics/holm.js';
import { reference } from '../../fixtures/statistics/reference.js';

describe('Holm’s correction', () => {
  test.each(reference.holm)('as statsmodels has it: $p', ({ p, holm: expected }) => {
    const adjusted = holm(p);
    expect(adjusted).toHaveLength(expected.length);
    adjusted.forEach((value, at) => {
      expect(value).toBeCloseTo(expected[at] ?? Number.NaN, 12);
    });
  });

  test('never below the value itself, never above 1 or Bonferroni, and in the same order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 }), (values) => {
        const adjusted = holm(values);
        const sorted = [...values.keys()].sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
        values.forEach((value, at) => {
          expect(adjusted[at]).toBeGreaterThanOrEqual(value);
          expect(adjusted[at]).toBeLessThanOrEqual(Math.min(1, value * values.length));
        });
        const ordered = sorted.map((at) => adjusted[at] ?? Number.NaN);
        expect(ordered).toEqual([...ordered].sort((a, b) => a - b));
      }),
      { numRuns: 100 },
    );
  });
});
