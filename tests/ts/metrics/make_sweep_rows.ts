import type { SweepSummary, TrialRow } from '../../../ts/metrics/sweep_rows.js';

export const LR = 'stages.ammd.training.lr.from';
export const METHOD = 'stages.ammd.method';

export function makeTrial(change: Partial<TrialRow> = {}): TrialRow {
  return {
    kind: 'trial',
    number: 0,
    state: 'complete',
    parameters: { [LR]: 2e-3 },
    value: 34.5,
    intermediate: [{ step: 50, value: 12.5 }],
    seconds: 12.25,
    hash: 'ab'.repeat(32),
    folder: 'stages/abababababababab',
    reason: null,
    ...change,
  };
}

export function makeSummary(change: Partial<SweepSummary> = {}): SweepSummary {
  return {
    kind: 'sweep',
    format: 1,
    name: 'demo',
    hash: 'cd'.repeat(32),
    stage: 'ammd',
    objective: {
      dataset: 'validation',
      metric: 'exact_match',
      decoding: 'sampled',
      mode: 'max',
      test_set: false,
    },
    space: {
      [LR]: { kind: 'float', low: 1e-3, high: 1e-2, log: true },
      [METHOD]: { kind: 'values', values: ['kd', 'ammd'] },
      'stages.ammd.training.steps': { kind: 'int', low: 10, high: 20, step: 5, log: false },
    },
    search: 'tpe',
    pruning: 'asha',
    trials: { wanted: 3, complete: 1, pruned: 1, failed: 0 },
    best: {
      number: 0,
      value: 34.5,
      parameters: { [LR]: 2e-3 },
      folder: 'stages/abababababababab',
      config: 'best.yaml',
    },
    importances: { [LR]: 0.75, [METHOD]: 0.25 },
    ...change,
  };
}
