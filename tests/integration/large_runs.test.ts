import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { resolveConfig } from '../../ts/config/resolve.js';
import { readJournal } from '../../ts/metrics/journal.js';
import { evaluationRowSchema, stepRowSchema } from '../../ts/metrics/rows.js';
import { RunFolder } from '../../ts/run/folder/run_folder.js';
import { startRun } from '../../ts/run/run.js';
import { PYTHON, ROOT } from './tiny_run.js';

/**
 * The graphs of the large runs, one step each: the shipped files with the models at a sixteenth of their width (and all
 * of their depth), random weights, and rows of a few characters.
 */
const folder = mkdtempSync(path.join(tmpdir(), 'ammd-large-'));
const home = process.cwd();

const gpt2 = (width: number, layers: number, heads: number) => ({
  ...{ n_embd: width / 16, n_layer: layers, n_head: heads, n_positions: 512 },
});
const llama = (width: number, inner: number, layers: number, heads: number) => ({
  ...{ hidden_size: width / 16, intermediate_size: inner / 16, num_hidden_layers: layers },
  ...{ num_attention_heads: heads, max_position_embeddings: 512, tie_word_embeddings: false },
});

interface LargeRun {
  readonly name: string;
  readonly type: 'gpt2' | 'llama';
  readonly large: object;
  readonly small: object;
  /** One method of each kind that the run has. */
  readonly methods: readonly string[];
}

const RUNS: readonly LargeRun[] = [
  {
    ...{ name: 'gpt2', type: 'gpt2', large: gpt2(1_600, 48, 25), small: gpt2(768, 12, 12) },
    methods: ['kd', 'seqkd', 'minillm', 'distillm-skl', 'ammd'],
  },
  {
    ...{ name: 'openllama', type: 'llama', large: llama(4_096, 11_008, 32, 32) },
    // 25 heads of 8 where the model has 32 of 100: a sixteenth of 3,200 cannot be cut in 32.
    small: llama(3_200, 8_640, 26, 25),
    methods: ['minillm', 'ammd'],
  },
];

function overrides({ name, methods }: LargeRun): readonly string[] {
  const { stages } = resolveConfig(name, [], folder).config;
  const kept = ['teacher', 'start', ...methods];
  const short = '{epochs: null, steps: 1, batch_size: 8, micro_batch: 4, lr: 1.0e-3}';
  return [
    'worker={device: cpu, threads: 1}',
    ...['large', 'small'].map((model) => `models.${model}={source: ./${name}-${model}, init: random}`),
    'data_defaults={max_prompt_tokens: 240, max_tokens: 256, limit: 6}',
    'data.train.limit=6',
    ...['dolly', 'self_instruct', 'vicuna', 'sni', 'unni'].map((set) => `data.${set}.limit=1`),
    'stage_defaults.rollout.sampling.max_new_tokens=4',
    'stage_defaults.evaluation={every: 1, rows: 1, seeds: [10], sampling: {max_new_tokens: 2}}',
    'data.validation.limit=2',
    ...kept.map((stage) => `stages.${stage}.training=${short}`),
    ...Object.keys(stages).flatMap((stage) => (kept.includes(stage) ? [] : [`stages.${stage}=null`])),
  ];
}

beforeAll(() => {
  process.chdir(folder);
  process.env.AMMD_WORKER_PYTHON = PYTHON;
  const models = RUNS.flatMap(({ name, type, large, small }) => [
    { folder: `${name}-large`, type, shape: large },
    { folder: `${name}-small`, type, shape: small },
  ]);
  execFileSync(PYTHON, [path.join(ROOT, 'tests/integration/make_models.py'), JSON.stringify(models)], {
    env: { ...process.env, PYTHONPATH: ROOT },
    stdio: 'pipe',
  });
  const rows = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((row) =>
    JSON.stringify({ instruction: `say ${row}`, input: '', output: [`it is ${row}`] }),
  );
  for (const set of ['dolly/train', 'dolly/validation', 'dolly/test', 'openwebtext/train'].concat(
    ['self_instruct', 'vicuna', 'sni', 'unni'].map((name) => `${name}/test`),
  )) {
    mkdirSync(path.join('data', path.dirname(set)), { recursive: true });
    writeFileSync(path.join('data', `${set}.jsonl`), `${rows.join('\n')}\n`);
  }
});

afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
});

describe.each(RUNS)('$name', (large) => {
  const run = new RunFolder(path.join(folder, `run-${large.name}`));

  test('every kind of stage trains a step and is evaluated', async () => {
    const resolved = resolveConfig(large.name, overrides(large), folder);
    await startRun(resolved, run.path, { emit: () => {}, report: () => {} });
    for (const name of ['teacher', 'start', ...large.methods]) {
      const stage = run.stage(name);
      const [step, ...more] = readJournal(stage.metrics, stepRowSchema);
      expect([name, more.length, step?.metrics.skipped]).toEqual([name, 0, 0]);
      expect(Number.isFinite(step?.metrics.loss)).toBe(true);
      const evaluated = readJournal(stage.evaluations, evaluationRowSchema).filter(({ final }) => final);
      expect(new Set(evaluated.map(({ dataset }) => dataset))).toEqual(
        new Set(['validation', 'dolly', 'self_instruct', 'vicuna', 'sni', 'unni']),
      );
      expect(existsSync(path.join(stage.student, 'model.safetensors'))).toBe(true);
    }
  });
});
