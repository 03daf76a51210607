import { expect, test } from '@jest/globals';
import { SCORES } from '../../../ts/config/metrics.js';
import { corpusMetric } from '../../../ts/metrics/corpus_metrics.js';
import { bleuCase } from '../../fixtures/bleu/bleu.js';

test('BLEU is the one metric of all rows together', () => {
  const { statistics, bleu } = bleuCase('one row');
  expect(corpusMetric('bleu').figure(statistics)).toBeCloseTo(bleu, 9);
  expect(corpusMetric('bleu').scores(statistics)[0]).toBeCloseTo(bleu, 9);
  for (const name of SCORES.filter((score) => score !== 'bleu'))
    expect(() => corpusMetric(name)).toThrow(`no metric of all rows together is called ${name}`);
});
