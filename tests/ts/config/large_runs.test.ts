import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { resolveConfig } from '../../../ts/config/resolve.js';
import type { RunConfig, StageConfig } from '../../../ts/config/schema.js';
import { workspace } from './workspace.js';

/**
 * The settings of the large runs, one by one. "Protocol" is the evaluation protocol of the instruction-following tables
 * with its facts from the MiniLLM and DistiLLM reference scripts; "baselines" the table of the methods that the paper
 * compares with. What is not from there is called the scripts' or ours.
 */
const FILES = ['dolly/train', 'dolly/validation', 'dolly/test', 'openwebtext/train'].concat(
  ['self_instruct', 'vicuna', 'sni', 'unni'].map((name) => `${name}/test`),
);
const PLACE = workspace(
  Object.fromEntries(FILES.map((file) => [join('data', `${file}.jsonl`), '{"instruction": "x"}\n'])),
);
const load = (name: string): RunConfig => resolveConfig(name, [], PLACE).config;

const METHODS = [
  ...['sft', 'kd', 'seqkd', 'imitkd', 'minillm', 'gkd', 'distillm-skl', 'distillm-srkl'],
  ...['rkl', 'jsd', 'tvd', 'ammd-off', 'ammd-on', 'ammd', 'ammd-exact'],
];

function stageOf(run: RunConfig, name: string): StageConfig {
  const stage = run.stages[name];
  if (stage === undefined) throw new Error(`no stage ${name}`);
  return stage;
}

/** The stages of the methods that are trained in epochs: all but MiniLLM. */
const inEpochs = (run: RunConfig) =>
  METHODS.filter((name) => name !== 'minillm').map((name) => stageOf(run, name));

const values = <Value>(stages: readonly StageConfig[], of: (stage: StageConfig) => Value) => [
  ...new Map(stages.map((stage) => [JSON.stringify(of(stage)), of(stage)])).values(),
];

describe.each(['gpt2', 'gpt2-340m', 'gpt2-760m', 'openllama'])('%s', (name) => {
  const run = load(name);
  const all = Object.values(run.stages);

  test('every method is one stage, after teacher and start', () => {
    expect(Object.keys(run.stages)).toEqual(['teacher', 'start', ...METHODS]);
    expect(METHODS.map((method) => stageOf(run, method).method.name)).toEqual(METHODS);
  });

  test('protocol: the student starts from 3 epochs of SFT', () => {
    const start = stageOf(run, 'start');
    expect(start.method.name).toBe('sft');
    expect(start.training.epochs).toBe(3);
    for (const method of METHODS) expect(stageOf(run, method).student).toMatchObject({ stage: 'start' });
  });

  test('all methods but SFT learn from the one fine-tuned teacher', () => {
    const taught = METHODS.filter((method) => method !== 'sft').map((method) => stageOf(run, method).teacher);
    for (const teacher of taught) expect(teacher).toMatchObject({ stage: 'teacher' });
    expect(stageOf(run, 'sft').teacher).toBeNull();
    expect(stageOf(run, 'teacher').method.name).toBe('sft');
  });

  test('protocol: Alpaca prompts of 256 tokens, 512 in all', () => {
    const { corpus, ...sets } = run.data;
    for (const set of Object.values(sets)) {
      expect(set).toMatchObject({ template: 'alpaca', max_prompt_tokens: 256, max_tokens: 512 });
    }
    expect(corpus).toMatchObject({ template: 'text', max_tokens: 512 });
  });

  test('protocol: DollyEval, SelfInst, VicunaEval, S-NI and UnNI are the test sets, Dolly is the training set', () => {
    expect(values(all, ({ data }) => data)).toEqual([
      { train: 'train', validation: 'validation', test: ['dolly', 'self_instruct', 'vicuna', 'sni', 'unni'] },
    ]);
    const ends = Object.fromEntries(
      Object.entries(run.data).map(([set, { source }]) => [set, source.slice(PLACE.length + 1)]),
    );
    expect(ends).toEqual({
      train: 'data/dolly/train.jsonl',
      validation: 'data/dolly/validation.jsonl',
      dolly: 'data/dolly/test.jsonl',
      self_instruct: 'data/self_instruct/test.jsonl',
      vicuna: 'data/vicuna/test.jsonl',
      sni: 'data/sni/test.jsonl',
      unni: 'data/unni/test.jsonl',
      corpus: 'data/openwebtext/train.jsonl',
    });
  });

  test('protocol: AdamW, weight decay 1e-2, clip 1.0', () => {
    expect(values(all, ({ training }) => training.optimizer)).toEqual([
      { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-2, optimistic: false },
    ]);
    expect(values(all, ({ training }) => training.clip_norm)).toEqual([1]);
  });

  test('protocol: cosine to 1e-7', () => {
    const rates = [stageOf(run, 'teacher'), stageOf(run, 'start'), ...inEpochs(run)].map(
      ({ training }) => training.lr,
    );
    for (const rate of rates) expect(rate).toMatchObject({ kind: 'cosine', to: 1e-7, warmup: 0, over: null });
  });

  test('protocol: 8 rows a GPU on 4 GPUs', () => {
    expect(values(inEpochs(run), ({ training }) => training.batch_size)).toEqual([8 * 4]);
  });

  test('protocol: temperature 1, top-p 1, top-k 0, up to 256 new tokens; no n-gram is banned before the final evaluation', () => {
    const sampling = { temperature: 1, top_p: 1, top_k: 0, max_new_tokens: 256, no_repeat_ngram_size: 0 };
    for (const { rollout, evaluation } of all) {
      expect(rollout.sampling).toMatchObject(sampling);
      expect(evaluation.sampling).toMatchObject(sampling);
    }
  });

  test('protocol: five decoding seeds, no greedy decoding', () => {
    expect(values(all, ({ evaluation }) => evaluation.seeds)).toEqual([[10, 20, 30, 40, 50]]);
    expect(values(all, ({ evaluation }) => evaluation.greedy)).toEqual([false]);
  });

  test('protocol: checkpoints are chosen by ROUGE-L on all of the validation set', () => {
    expect(values(all, ({ evaluation }) => evaluation.best)).toEqual([{ metric: 'rouge_l', mode: 'max' }]);
    expect(values(all, ({ evaluation }) => evaluation.metrics)).toEqual([['rouge_l']]);
    expect(values(all, ({ evaluation }) => evaluation.rows)).toEqual([null]);
  });

  test('the scripts evaluate once an epoch', () => {
    for (const { training, evaluation } of [
      stageOf(run, 'teacher'),
      stageOf(run, 'start'),
      ...inEpochs(run),
    ]) {
      expect(evaluation.every).toBe(Math.floor(13_511 / training.batch_size));
    }
  });

  test('protocol: MiniLLM has lr 5e-6 and 5,000 iterations; the scripts have no decay and a warm-up of 100', () => {
    const { training } = stageOf(run, 'minillm');
    expect(training).toMatchObject({ steps: 5_000, epochs: null });
    expect(training.lr).toEqual({ kind: 'constant', value: 5e-6, warmup: 100 });
    expect(stageOf(run, 'minillm').evaluation.every).toBe(name === 'openllama' ? 500 : 100);
  });

  test('baselines: MiniLLM draws 256 responses with a fifth of the teacher, and takes them in 4 epochs', () => {
    const { method, training } = stageOf(run, 'minillm');
    expect(method.sources.on).toMatchObject({ from: 'student', mixture: { value: 0.2 } });
    const rows = training.batch_size * (method.sources.on?.share ?? 0);
    expect([rows, rows * method.iteration.minibatches, method.iteration.epochs]).toEqual([32, 256, 4]);
  });

  test('protocol: a reward scaling of 0.5 cancels, because returns are whitened after it', () => {
    const { terms } = stageOf(run, 'minillm').method;
    expect(terms.reverse_kl?.returns).toMatchObject({ baseline: 'whiten', norm: 'length', clip: 0.2 });
    // The scripts' default, which they do not change.
    expect(terms.reverse_kl).toMatchObject({ gradient: 'return', gamma: 0.95, discount: 'dropped' });
  });

  test('baselines: MiniLLM has a loss on a pre-training corpus; the scripts half of it from the teacher', () => {
    const { sources, terms } = stageOf(run, 'minillm').method;
    expect(sources.corpus).toMatchObject({ from: 'dataset', data: 'corpus', share: 0.5 });
    expect(terms.lm).toMatchObject({
      objective: 'cross_entropy',
      part: 'corpus',
      weight: { value: 0.5 },
    });
    expect(terms.lm_kd).toMatchObject({
      objective: 'forward_kl',
      part: 'corpus',
      weight: { value: 0.5 },
    });
  });

  test('baselines: DistiLLM keeps 1,000 rows and has α = 0.1; its share of the student moves with the validation loss', () => {
    for (const kind of ['distillm-skl', 'distillm-srkl']) {
      const { method, evaluation } = stageOf(run, kind);
      expect(method.sources.mix?.replay?.capacity).toBe(1_000);
      expect(Object.values(method.terms).map(({ params }) => params.alpha)).toEqual([0.1]);
      // The scripts' threshold and tolerance, which are others for OpenLLaMA.
      const own = name === 'openllama' ? { from: 0.2, tolerance: 0.2 } : { from: 0, tolerance: 0.1 };
      expect(method.sources.mix?.probability).toMatchObject({
        ...{ kind: 'adaptive', increment: 0.1, metric: 'cross_entropy', ...own },
      });
      expect(evaluation.measure).toContain('cross_entropy');
    }
  });

  test('the scripts’ seed', () => {
    expect(run.seed).toBe(10);
  });
});

describe('GPT-2', () => {
  test.each([
    ['gpt2', 'openai-community/gpt2'],
    ['gpt2-340m', 'openai-community/gpt2-medium'],
    ['gpt2-760m', 'openai-community/gpt2-large'],
  ])('%s is taught by 1.5B, with all weights trained', (name, student) => {
    const run = load(name);
    expect(run.models.large).toMatchObject({ source: 'openai-community/gpt2-xl', init: 'pretrained' });
    expect(run.models.small).toMatchObject({ source: student, init: 'pretrained', dtype: 'float32' });
    expect(stageOf(run, 'teacher').student).toBe('large');
    expect(stageOf(run, 'start').student).toBe('small');
    expect(values(Object.values(run.stages), ({ training }) => training.lora)).toEqual([null]);
  });

  test('protocol: 120M has lr 5e-4 and 20 epochs; the scripts’ teacher 5e-5 and 10', () => {
    const run = load('gpt2');
    expect(values(inEpochs(run), ({ training }) => training.epochs)).toEqual([20]);
    for (const { training } of [stageOf(run, 'start'), ...inEpochs(run)])
      expect(training.lr).toMatchObject({ from: 5e-4 });
    expect(stageOf(run, 'teacher').training).toMatchObject({
      ...{ epochs: 10, batch_size: 32, lr: { from: 5e-5 } },
    });
  });

  test('340M is trained like 120M; 760M for 10 epochs at 1e-4, in the scripts', () => {
    const settings = (name: string) =>
      values(inEpochs(load(name)), ({ training: { epochs, lr } }) => ({ epochs, lr }));
    expect(settings('gpt2-340m')).toEqual(settings('gpt2'));
    expect(settings('gpt2-760m')).toMatchObject([{ epochs: 10, lr: { kind: 'cosine', from: 1e-4 } }]);
    expect(stageOf(load('gpt2-760m'), 'start').training.lr).toMatchObject({ from: 5e-4 });
  });
});

describe('OpenLLaMA', () => {
  const run = load('openllama');

  test('7B teaches 3B', () => {
    expect(run.models.large).toMatchObject({
      ...{ source: 'openlm-research/open_llama_7b_v2', dtype: 'bfloat16' },
    });
    expect(run.models.small).toMatchObject({
      ...{ source: 'openlm-research/open_llama_3b_v2', dtype: 'float32' },
    });
  });

  test('protocol: LoRA r 16, α 64, dropout 0.1, of teacher and student', () => {
    expect(values(Object.values(run.stages), ({ training }) => training.lora)).toEqual([
      { rank: 16, alpha: 64, dropout: 0.1, targets: ['q_proj', 'v_proj'] },
    ]);
  });

  test('protocol: lr 5e-4 and 10 epochs; the scripts’ teacher 20, with 4 rows a GPU', () => {
    expect(values(inEpochs(run), ({ training }) => training.epochs)).toEqual([10]);
    const { teacher, start } = run.stages;
    for (const stage of [teacher, start, ...inEpochs(run)])
      expect(stage?.training.lr).toMatchObject({ from: 5e-4 });
    expect(teacher?.training).toMatchObject({ epochs: 20, batch_size: 4 * 4 });
  });

  test('the scripts compute activations again', () => {
    expect(values(Object.values(run.stages), ({ training }) => training.gradient_checkpointing)).toEqual([
      true,
    ]);
  });
});
