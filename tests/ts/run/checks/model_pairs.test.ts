import { expect, test } from '@jest/globals';
import { planRun } from '../../../../ts/plan/run.js';
import { modelPairs, requirePair } from '../../../../ts/run/checks/model_pairs.js';
import { resolveRun } from '../../config/workspace.js';
import { ScriptedClient } from '../scripted_client.js';

const BIG = 'models.big={source: org/big}';

/** Each pair as its stage, student and teacher. */
const pairsOf = (...overrides: readonly string[]) =>
  modelPairs(planRun(resolveRun(...overrides))).map(({ stage, student, teacher }) => [
    stage,
    student.origin.source,
    teacher.origin.source,
  ]);

test('models of one source are no pair that could differ', () => {
  expect(pairsOf()).toEqual([]);
});

test('a stage’s model counts as the one that it descends from', () => {
  expect(pairsOf(BIG)).toEqual([['student', 'builtin:llama', 'org/big']]);
  const second =
    'stages.again={student: {stage: student}, teacher: big, method: kd, training: {steps: 1}, data: {train: train}}';
  expect(pairsOf(BIG, second)).toEqual([['student', 'builtin:llama', 'org/big']]);
});

test('the worker is asked with sources, not with folders of the run', async () => {
  const client = new ScriptedClient();
  const [pair] = modelPairs(planRun(resolveRun(BIG)));
  if (pair === undefined) throw new Error('there is no pair');
  await requirePair(client, pair);
  expect(client.argsOf('compare_models')).toMatchObject([
    { student: { source: 'builtin:llama' }, teacher: { source: 'org/big' } },
  ]);
});
