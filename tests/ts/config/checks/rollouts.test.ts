import { expect, test } from '@jest/globals';
import { resolveRun } from '../workspace.js';

const NOTHING_DRAWN = 'stages.student={teacher: null, method: sft}';
const PLAIN = 'stage_defaults.rollout={sampling: {max_new_tokens: 256}}';

test('in a run that generates nothing, rollouts that are as by default are no matter', () => {
  expect(resolveRun(NOTHING_DRAWN, PLAIN).warnings).toEqual([]);
});

test('an engine draws the responses of evaluations too', () => {
  expect(resolveRun(NOTHING_DRAWN, PLAIN, 'stages.teacher.rollout.engine=forward').warnings).toEqual([]);
});

test.each([
  ['sampling.max_new_tokens=8'],
  ['sampling.top_p=0.9'],
  ['temperature=0.5'],
  ['max_new_tokens={kind: linear, from: 1, to: 8}'],
])('rollout.%s has no effect there, and does where a stage generates', (setting) => {
  const [key] = setting.split('=');
  const change = `stages.teacher.rollout.${setting}`;
  expect(resolveRun(NOTHING_DRAWN, PLAIN, change).warnings).toEqual([
    expect.stringContaining(
      `stages.teacher.rollout.${key}: no effect: no method of the run generates anything`,
    ),
  ]);
  expect(resolveRun(PLAIN, change).warnings).toEqual([]);
});
