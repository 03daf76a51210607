import { describe, expect, test } from '@jest/globals';
import { meanInterval, verdict } from '../../../ts/reproduce/verdict.js';
import { reference } from '../../fixtures/statistics/reference.js';

describe('interval of a mean', () => {
  test.each(reference.intervals)('as scipy has it: $values', ({ values, interval }) => {
    const [low, high] = meanInterval(values);
    expect(low).toBeCloseTo(interval[0], 7);
    expect(high).toBeCloseTo(interval[1], 7);
  });

  test('one value has none', () => {
    expect(() => meanInterval([3])).toThrow(RangeError);
  });
});

describe('verdict', () => {
  // Mean 21.62, and by scipy the interval is 21.164 to 22.076.
  const values = [21.2, 21.9, 22.1, 21.5, 21.4];
  const stated = (value: number, sd: number | null = null) => ({ value, sd, source: 'the paper' });

  test.each<[string, ReturnType<typeof stated> | null, string | null, string, RegExp]>([
    ['nothing to compare with', null, null, 'not_comparable', /^no reference number$/],
    ['another experiment, whatever is stated', null, 'other models', 'not_comparable', /^other models$/],
    ['another experiment', stated(21.7), 'other models', 'not_comparable', /^other models$/],
    ['inside', stated(21.7), null, 'reproduced', /^21\.7 lies in the 95 % interval 21\.16 to 22\.08$/],
    ['just inside the upper end', stated(22.07), null, 'reproduced', /22\.07 lies in/],
    ['just outside the upper end', stated(22.08), null, 'differs', /^0\.46 below 22\.08, which is outside/],
    ['just outside the lower end', stated(21.16), null, 'differs', /^0\.46 above 21\.16, which is outside/],
    ['inside with the spread', stated(22.5, 0.5), null, 'reproduced', /widened by the reference's ± 0\.5$/],
    ['outside even so', stated(23, 0.5), null, 'differs', /^1\.38 below 23/],
  ])('%s', (_, number, incomparable, expected, reason) => {
    const found = verdict(values, number, incomparable);
    expect(found.verdict).toBe(expected);
    expect(found.reason).toMatch(reason);
  });

  test('four seeds are not enough, five are', () => {
    expect(verdict(values.slice(1), stated(21.7), null)).toEqual({
      verdict: 'not_enough_seeds',
      reason: '4 of at least 5 training seeds',
    });
    expect(verdict(values, stated(21.7), null).verdict).toBe('reproduced');
  });
});
