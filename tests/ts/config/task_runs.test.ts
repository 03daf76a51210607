import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { resolveConfig } from '../../../ts/config/resolve.js';
import type { RunConfig } from '../../../ts/config/schema.js';
import { workspace } from './workspace.js';

/** The settings of the runs of the task-specific table: what the paper or its protocol says, and what three tasks share. */
const FILES = ['samsum', 'iwslt17', 'strategyqa'].flatMap((set) =>
  ['train', 'validation', 'test'].map((split) => join('data', set, `${split}.jsonl`)),
);
const PLACE = workspace(Object.fromEntries(FILES.map((file) => [file, '{"instruction": "x"}\n'])));
const load = (name: string): RunConfig => resolveConfig(name, [], PLACE).config;

const METHODS = [
  ...['sft', 'kd', 'seqkd', 'imitkd', 'minillm', 'gkd', 'distillm-skl', 'distillm-srkl'],
  ...['rkl', 'jsd', 'tvd', 'ammd-off', 'ammd-on', 'ammd', 'ammd-exact'],
];

describe.each([
  ['t5-samsum', 'samsum', 'rouge_l', 14_732],
  ['t5-iwslt17', 'iwslt17', 'bleu', 150_000],
  ['t5-strategyqa', 'strategyqa', 'accuracy', 1_603 * 0.9],
])('%s', (name, task, metric, rows) => {
  const run = load(name);
  const stages = Object.values(run.stages);

  test('every method is one stage, after teacher and start', () => {
    expect(Object.keys(run.stages)).toEqual(['teacher', 'start', ...METHODS]);
    for (const method of METHODS) expect(run.stages[method]).toMatchObject({ student: { stage: 'start' } });
  });

  test('protocol: T5-XL teaches, AdamW with weight decay 1e-2, cosine to 1e-7, clip 1.0', () => {
    expect(run.models.large?.source).toBe('google/t5-v1_1-xl');
    expect(run.stages.teacher?.student).toBe('large');
    for (const { training } of stages) {
      expect(training.optimizer).toMatchObject({ beta1: 0.9, beta2: 0.999, weight_decay: 1e-2 });
      expect(training.lr).toMatchObject({ kind: 'cosine', to: 1e-7 });
      expect(training.clip_norm).toBe(1);
    }
  });

  test('weights are float32, products bfloat16: float16 is too narrow for T5', () => {
    for (const { dtype, compute_dtype } of Object.values(run.models))
      expect([dtype, compute_dtype]).toEqual(['float32', 'bfloat16']);
  });

  test("the task's own rows, and its own metric chooses the checkpoint", () => {
    for (const { source } of Object.values(run.data)) expect(source).toContain(join('data', task));
    expect(run.data[task]).toMatchObject({ split: 'train', validation_fraction: 0, limit: null });
    for (const { data, evaluation } of stages) {
      expect(data).toEqual({ train: 'train', validation: 'validation', test: [task] });
      expect(evaluation).toMatchObject({ metrics: [metric], best: { metric }, greedy: true, seeds: [] });
    }
  });

  test('whatever is drawn fits beside the longest prompt', () => {
    for (const { rollout, evaluation } of stages)
      for (const { sampling } of [rollout, evaluation])
        for (const { max_tokens, max_prompt_tokens } of Object.values(run.data))
          expect(max_prompt_tokens + sampling.max_new_tokens).toBe(max_tokens);
  });

  test('every method takes as many steps of 32 rows, but MiniLLM of 64, and ten evaluations before the end at least', () => {
    const lengths = METHODS.map((method) => {
      const { epochs, steps, batch_size } = run.stages[method]?.training ?? {};
      return [steps ?? Math.ceil(((epochs ?? 0) * rows) / 32), batch_size];
    });
    const [[length] = []] = lengths;
    expect(lengths).toEqual(METHODS.map((method) => [length, method === 'minillm' ? 64 : 32]));
    for (const method of METHODS)
      expect(10 * (run.stages[method]?.evaluation.every ?? 0)).toBeLessThan(Number(length));
  });
});

test('StrategyQA: training and validation rows are the two sides of one file', () => {
  const { train, validation } = load('t5-strategyqa').data;
  expect(validation).toEqual({ ...train, split: 'validation' });
});

test('the encoder-decoder example is the main job on other models', () => {
  const ours = load('encoder-decoder');
  const main = load('quickstart');
  expect(Object.values(ours.models).map(({ source }) => source)).toEqual(['builtin:t5', 'builtin:t5']);
  expect(ours.data).toEqual(main.data);
  expect(Object.keys(ours.stages)).toEqual(Object.keys(main.stages));
});
