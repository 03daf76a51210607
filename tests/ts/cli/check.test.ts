import { expect, test } from '@jest/globals';
import { preflightJson } from '../../../ts/cli/check.js';

test('in JSON every stage has the same keys, whether it was tried or not', () => {
  const tried = { stage: 'sft', checks: [], memory: null, steps: 3, notes: ['a note'], skipped: null };
  expect(preflightJson([tried, { stage: 'ammd', skipped: 'its model is not there yet' }])).toEqual([
    tried,
    {
      stage: 'ammd',
      checks: [],
      memory: null,
      steps: null,
      notes: [],
      skipped: 'its model is not there yet',
    },
  ]);
});
