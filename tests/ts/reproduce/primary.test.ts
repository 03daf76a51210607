import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { TestedDifference } from '../../../ts/metrics/hierarchical_bootstrap.js';
import { bestBaseline, primaryComparison } from '../../../ts/reproduce/primary.js';

describe('the best baseline', () => {
  test('has the best figure on the tuning set; the first of equals; none without a figure', () => {
    const tuning = new Map([
      ['ammd', 99],
      ['sft', 31],
      ['kd', 33],
      ['gkd', 33],
    ]);
    expect(bestBaseline(['sft', 'kd', 'gkd', 'minillm'], tuning)).toBe('kd');
    expect(bestBaseline(['minillm', 'sft'], tuning)).toBe('sft');
    expect(bestBaseline(['minillm'], tuning)).toBeUndefined();
  });

  test('is a maximum over the candidates', () => {
    const figures = fc.dictionary(
      fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      fc.double({ noNaN: true }).map((figure) => figure + 0),
    ); // no -0
    fc.assert(
      fc.property(figures, fc.subarray(['a', 'b', 'c', 'd', 'e']), (record, candidates) => {
        const tuning = new Map(Object.entries(record));
        const known = candidates.flatMap((row) => tuning.get(row) ?? []);
        const best = bestBaseline(candidates, tuning);
        if (best !== undefined) expect(candidates).toContain(best);
        expect(best === undefined ? undefined : tuning.get(best)).toBe(
          known.length === 0 ? undefined : Math.max(...known),
        );
      }),
    );
  });
});

describe('the primary comparison', () => {
  const of = (tested: Partial<TestedDifference>) =>
    primaryComparison({
      declared: { row: 'ammd', column: 2, baselines: ['sft', 'kd', 'abkd'] },
      tuning: new Map([
        ['sft', 31],
        ['kd', 33],
        ['ammd', 36],
      ]),
      compared: {
        row: 'kd',
        column: 2,
        tested: {
          difference: -2,
          low: -3.5,
          high: -0.5,
          p: 0.012,
          seeds: 10,
          rows: 256,
          resamples: 10_000,
          ...tested,
        },
      },
      column: 'seen, sampled',
      label: (row) => row.toUpperCase(),
    });

  test('is the declared row minus the baseline', () => {
    expect(of({})).toEqual({
      row: 'ammd',
      against: 'kd',
      column: 2,
      difference: 2,
      low: 0.5,
      high: 3.5,
      p: 0.012,
      seeds: 10,
      rows: 256,
      resamples: 10_000,
      tuning: [
        { row: 'sft', value: 31 },
        { row: 'kd', value: 33 },
      ],
      declared:
        'AMMD against the baseline with the best figure on the tuning set, on seen, sampled; candidates: SFT, KD, ABKD.',
      conclusion: 'AMMD is better than KD (+2.00, 95 % interval +0.50 to +3.50, p = 0.012).',
    });
  });

  test.each<[Partial<TestedDifference>, string]>([
    [
      { difference: 2, low: 0.5, high: 3.5 },
      'AMMD is worse than KD (−2.00, 95 % interval −3.50 to −0.50, p = 0.012).',
    ],
    [
      { high: 0.1, p: 0.06 },
      'No difference between AMMD and KD is shown (+2.00, 95 % interval −0.10 to +3.50, p = 0.060).',
    ],
    [
      { seeds: 4, p: 0.0002 },
      '4 training seeds are too few to conclude anything about AMMD and KD (+2.00, 95 % interval +0.50 to +3.50, p < 0.001).',
    ],
  ])('concludes: %j', (tested, conclusion) => {
    expect(of(tested).conclusion).toBe(conclusion);
  });
});
