import { expect, test } from '@jest/globals';
import { configErrorOf, resolveRun } from '../workspace.js';

const VLLM = 'stages.student.rollout.engine=vllm';

test.each([
  [
    'stages.student.method.sources.on.mixture=0.2',
    'stages.student.method.sources.on.mixture: vllm draws from one',
  ],
  [
    'stages.student.rollout.sampling.no_repeat_ngram_size=6',
    'stages.student.rollout.sampling.no_repeat_ngram_size: vllm has no n-gram ban',
  ],
  [
    'stages.student.evaluation.sampling.no_repeat_ngram_size=6',
    'stages.student.evaluation.sampling.no_repeat_ngram_size: vllm has no n-gram ban',
  ],
])('vllm cannot do %s, other engines can', (setting, message) => {
  expect(resolveRun(setting).warnings).toEqual([]);
  expect(configErrorOf(() => resolveRun(VLLM, setting)).message).toContain(message);
});

test('vllm is allowed where it can', () => {
  expect(resolveRun(VLLM).warnings).toEqual([]);
});

test('vllm does not hear of rows at a time, and says so', () => {
  expect(resolveRun(VLLM, 'worker.rollout_rows=8').warnings).toEqual([
    expect.stringContaining('worker.rollout_rows: no effect on stage student: vllm'),
  ]);
  expect(resolveRun('worker.rollout_rows=8').warnings).toEqual([]);
});

test('an engine that draws alone wins no time by drawing ahead, and says so', () => {
  const ahead = 'stages.student.method.sources.on.max_staleness=1';
  expect(resolveRun(ahead, 'stages.student.rollout.engine=native').warnings).toEqual([]);
  for (const engine of ['forward', 'native_graphs', 'vllm']) {
    expect(resolveRun(ahead, `stages.student.rollout.engine=${engine}`).warnings).toEqual([
      expect.stringContaining(`on.max_staleness: ${engine} does not draw while the student trains`),
    ]);
  }
});
