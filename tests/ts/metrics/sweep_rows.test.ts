import { expect, test } from '@jest/globals';
import { sweepSummarySchema, type TrialRow, trialRowSchema } from '../../../ts/metrics/sweep_rows.js';
import { makeSummary, makeTrial } from './make_sweep_rows.js';

test('rows of all states are read back as they were written', () => {
  const rows: readonly TrialRow[] = [
    makeTrial({}),
    makeTrial({ state: 'pruned', value: null, reason: 'at step 50' }),
    makeTrial({ state: 'failed', value: null, hash: null, folder: null, reason: 'no memory' }),
    makeTrial({
      parameters: { 'stages.ammd.method': 'kd', 'stages.ammd.training.lr': { kind: 'constant' } },
    }),
  ];
  for (const row of rows) expect(trialRowSchema.parse(JSON.parse(JSON.stringify(row)))).toEqual(row);
  expect(trialRowSchema.safeParse({ ...makeTrial({}), extra: 1 }).success).toBe(false);
  expect(trialRowSchema.safeParse({ ...makeTrial({}), value: Number.NaN }).success).toBe(false);
});

test('a summary is read back, with and without a best trial', () => {
  for (const summary of [makeSummary({}), makeSummary({ best: null, importances: null, pruning: null })])
    expect(sweepSummarySchema.parse(JSON.parse(JSON.stringify(summary)))).toEqual(summary);
});
