import { expect, test } from '@jest/globals';
import {
  finalValue,
  intermediateValues,
  isSeenInTraining,
  type Objective,
} from '../../../ts/sweep/objective.js';
import { bestTrial } from '../../../ts/sweep/outcome.js';
import { makeEvaluation } from '../metrics/make_rows.js';
import { makeTrial } from '../metrics/make_sweep_rows.js';
import { resolveSmall } from './scene.js';

const SAMPLED: Objective = {
  dataset: 'check',
  metric: 'exact_match',
  decoding: 'sampled',
  mode: 'max',
  test_set: false,
};

const row = (change: Parameters<typeof makeEvaluation>[0]) => makeEvaluation({ dataset: 'check', ...change });

test('the final value is the mean over decoding seeds, of the exported student alone', () => {
  const rows = [
    row({ seed: 10, mean: 99, final: false, step: 5 }),
    row({ seed: null, mean: 80, decoding: 'greedy' }),
    row({ seed: 10, mean: 30 }),
    row({ seed: 20, mean: 34 }),
    row({ seed: 10, mean: 1, dataset: 'seen' }),
    row({ seed: 10, mean: 2, metric: 'rouge_l' }),
  ];
  expect(finalValue(SAMPLED, rows)).toBe(32);
  expect(finalValue({ ...SAMPLED, decoding: 'greedy' }, rows)).toBe(80);
  expect(finalValue({ ...SAMPLED, dataset: 'other' }, rows)).toBeUndefined();
});

test('of evaluations during training each step counts once, by its last row, and step 0 not at all', () => {
  const at = (step: number, mean: number) => row({ step, mean, final: false });
  expect(
    intermediateValues(SAMPLED, [at(0, 1), at(5, 10), at(10, 20), at(5, 12), row({ mean: 40 })]),
  ).toEqual([
    { step: 5, value: 12 },
    { step: 10, value: 20 },
  ]);
});

test('evaluations during training show the validation set under one decoding', () => {
  const stageOf = (...set: readonly string[]) => {
    const { stages } = resolveSmall(...set).base;
    if (stages.student === undefined) throw new Error('the small run has a student');
    return stages.student;
  };
  expect(isSeenInTraining(SAMPLED, stageOf())).toBe(true);
  expect(isSeenInTraining({ ...SAMPLED, decoding: 'teacher_forced' }, stageOf())).toBe(true);
  expect(isSeenInTraining({ ...SAMPLED, decoding: 'greedy' }, stageOf())).toBe(false);
  expect(isSeenInTraining({ ...SAMPLED, dataset: 'train' }, stageOf())).toBe(false);
  expect(isSeenInTraining(SAMPLED, stageOf('stages.student.evaluation.every=0'))).toBe(false);
  expect(
    isSeenInTraining({ ...SAMPLED, decoding: 'greedy' }, stageOf('stages.student.evaluation.seeds=[]')),
  ).toBe(true);
});

test('the best trial is complete, has the most or the least, and of equals began first', () => {
  const rows = [
    makeTrial({ number: 3, value: 50 }),
    makeTrial({ number: 1, value: 50 }),
    makeTrial({ number: 2, value: 20 }),
    makeTrial({ number: 0, value: null, state: 'failed', reason: 'x' }),
  ];
  expect(bestTrial(rows, 'max')?.number).toBe(1);
  expect(bestTrial(rows, 'min')?.number).toBe(2);
  expect(bestTrial(rows.slice(3), 'max')).toBeUndefined();
});
