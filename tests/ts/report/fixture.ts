import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Journal } from '../../../ts/metrics/journal.js';
import {
  type EvaluationRow,
  evaluationRowSchema,
  type SampleRow,
  type StepRow,
  sampleRowSchema,
  stepRowSchema,
} from '../../../ts/metrics/rows.js';
import { STAGE_FILES } from '../../../ts/metrics/run_files.js';
import { makeEvaluation, makeSample, makeStep } from '../metrics/make_rows.js';

/** What the synthetic run is made of. Its figures are invented: they show a page's layout, and nothing else. */
export interface StageShape {
  readonly name: string;
  readonly method: string;
  readonly teacher?: string;
  /** The stage that it starts from. */
  readonly start?: string;
  readonly steps: number;
  /** Sampled score on the first test set. */
  readonly score: number;
  readonly adversarial?: boolean;
}

export const MAIN_JOB: readonly StageShape[] = [
  { name: 'teacher', method: 'sft', steps: 900, score: 84 },
  { name: 'start', method: 'sft', steps: 200, score: 14 },
  { name: 'sft', method: 'sft', start: 'start', steps: 300, score: 25 },
  { name: 'kd', method: 'kd', teacher: 'teacher', start: 'start', steps: 300, score: 26 },
  {
    name: 'ammd',
    method: 'ammd',
    teacher: 'teacher',
    start: 'start',
    steps: 300,
    score: 36,
    adversarial: true,
  },
];

export const TEST_SETS = ['seen', 'phrasing', 'longer', 'compositions', 'parameters'] as const;
const SEEDS = [10, 20, 30];

/** A number in [-1, 1) that looks random and is the same on every machine. */
function noise(...keys: readonly number[]): number {
  const mixed = keys.reduce((state, key) => Math.imul(state ^ (key + 0x9e3779b9), 0x85ebca6b) >>> 0, 7);
  return ((((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 31) % 2) - 1;
}

export interface RunShape {
  readonly name: string;
  readonly seed: number;
  /** Lines of the configuration besides. */
  readonly settings: readonly string[];
}

const RUN: RunShape = { name: 'layout-example', seed: 7, settings: [] };

/** Writes a whole run folder as a run writes it: journals, config, manifest, markers of finished stages. */
export function writeRun(
  folder: string,
  stages: readonly StageShape[] = MAIN_JOB,
  about: Partial<RunShape> = {},
): void {
  const run = { ...RUN, ...about };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.yaml'), configText(stages, run));
  writeFileSync(join(folder, 'config.sha256'), `${'ab'.repeat(32)}\n`);
  const manifest = {
    ammd: '0.1.0',
    seed: run.seed,
    worker: { torch: '2.13.0', devices: ['cpu'] },
    git: null,
  };
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  for (const [place, stage] of stages.entries()) {
    const index = place + 1000 * (run.seed - RUN.seed);
    writeStage(join(folder, 'stages', stage.name), {
      steps: stepRows(stage, index),
      evaluations: [...validationRows(stage, index), ...finalRows(stage, index)],
      samples: sampleRows(stage),
      done: true,
    });
  }
}

export interface StageRows {
  readonly steps?: readonly StepRow[];
  readonly evaluations?: readonly EvaluationRow[];
  readonly samples?: readonly SampleRow[];
  readonly done?: boolean;
}

export function writeStage(
  folder: string,
  { steps = [], evaluations = [], samples = [], done }: StageRows,
): void {
  const files = [
    [Journal.open<StepRow>(join(folder, STAGE_FILES.metrics), stepRowSchema), steps],
    [Journal.open<EvaluationRow>(join(folder, STAGE_FILES.evaluations), evaluationRowSchema), evaluations],
    [Journal.open<SampleRow>(join(folder, STAGE_FILES.samples), sampleRowSchema), samples],
  ] as const;
  for (const [journal, rows] of files) {
    for (const row of rows) journal.append(row as never);
    journal.close();
  }
  if (done === true) writeFileSync(join(folder, 'done.json'), '{}');
}

function configText(stages: readonly StageShape[], { name: title, seed, settings }: RunShape): string {
  const entries = stages.flatMap(({ name, method, teacher, start, steps }) => [
    `  ${name}:`,
    `    student: ${start === undefined ? 'small' : `{stage: ${start}}`}`,
    `    teacher: ${teacher === undefined ? 'null' : `{stage: ${teacher}}`}`,
    `    method: {name: ${method}}`,
    `    data: {validation: validation}`,
    `    training: {steps: ${steps}}`,
  ]);
  const head = stages.length === 0 ? 'stages: {}' : 'stages:';
  return [`name: ${title}`, `seed: ${seed}`, ...settings, head, ...entries, ''].join('\n');
}

function stepRows(shape: StageShape, index: number): StepRow[] {
  return Array.from({ length: shape.steps }, (_, at) => stepRow(shape, index, at + 1));
}

function stepRow(shape: StageShape, index: number, step: number): StepRow {
  const progress = step / shape.steps;
  const jitter = (salt: number): number => 1 + 0.12 * noise(index, step, salt);
  const fall = (from: number, to: number, salt: number): number =>
    (to + (from - to) * Math.exp(-4 * progress)) * jitter(salt);
  const taught = shape.teacher !== undefined;
  const metrics: Record<string, number | null> = {
    loss: fall(2.4, 0.5 + 0.1 * (index % 1000), 1),
    gradient_norm: fall(3, 0.8, 2),
    ...(taught ? { loss_anchor: fall(1.5, 0.4, 3) } : { loss_cross_entropy: fall(2.4, 0.5, 4) }),
  };
  if (taught && step % 10 === 0) Object.assign(metrics, divergences(shape, fall));
  if (shape.adversarial === true) {
    Object.assign(metrics, {
      loss_on_gap: fall(0.6, 0.2, 5),
      d_on_gap: fall(6, 2.2, 6),
      loss_off_gap: fall(0.5, 0.15, 7),
      d_off_gap: fall(5, 1.4, 8),
      'critic/on/gradient_norm': fall(0.2, 0.1, 9),
      'critic/on/tightness': step < 3 ? null : 0.96 - 0.3 * Math.exp(-8 * progress) * jitter(10),
      'rollout/length': 14 + 3 * noise(step, 11),
      'rollout/eos_rate': Math.min(1, 0.8 + 0.2 * progress * jitter(12)),
    });
  }
  const seconds = { build: 0.004, student: 0.09, end: 0.002, wire: 0.001, idle: 0.002 };
  const more = {
    ...(taught ? { teacher: 0.05 } : {}),
    ...(shape.adversarial === true ? { generate: 0.12, prepass: 0.02, critic: 0.06 } : {}),
  };
  const total = [...Object.values(seconds), ...Object.values(more)].reduce((sum, part) => sum + part, 0);
  return makeStep({
    stage: shape.name,
    step,
    metrics,
    lr: 2e-3 * (0.5 + 0.5 * Math.cos(Math.PI * progress)) * Math.min(1, step / 30),
    critic_lr: shape.adversarial === true ? 2e-3 : null,
    tokens: { batch: 2300, response: 700, generated: shape.adversarial === true ? 350 : 0 },
    seconds: { ...seconds, ...more, total },
    policy_version: step,
  });
}

function divergences(shape: StageShape, fall: (from: number, to: number, salt: number) => number) {
  const parts = shape.adversarial === true ? ['off', 'on'] : ['off'];
  return Object.fromEntries(
    parts.flatMap((part, at) => [
      [`tv_${part}`, fall(0.5, 0.2, 20 + at)],
      [`forward_kl_${part}`, fall(1.6, 0.4, 30 + at)],
      [`reverse_kl_${part}`, fall(1.9, 0.5, 40 + at)],
      [`student_entropy_${part}`, fall(1.2, 0.7, 50 + at)],
    ]),
  );
}

function validationRows(shape: StageShape, index: number): EvaluationRow[] {
  const count = Math.floor(shape.steps / 50);
  return Array.from({ length: count }, (_, at) =>
    makeEvaluation({
      stage: shape.name,
      step: (at + 1) * 50,
      final: false,
      dataset: 'validation',
      mean: shape.score * (1 - Math.exp((-3 * (at + 1)) / count)) + noise(index, at, 60),
      rows: 200,
    }),
  );
}

const TEST_ROWS = 60;

function finalRows(shape: StageShape, index: number): EvaluationRow[] {
  const row = { stage: shape.name, step: shape.steps, rows: TEST_ROWS };
  return TEST_SETS.flatMap((dataset, set) => {
    const chance = (shape.score / 100) * (1 - 0.15 * set);
    const scored = (seed: number): readonly number[] =>
      Array.from({ length: TEST_ROWS }, (_, at) =>
        0.5 + noise(set, at, seed, index) / 2 < chance ? 100 : 0,
      );
    const mean = (scores: readonly number[]): number =>
      scores.reduce((sum, score) => sum + score, 0) / scores.length;
    const generated = [...SEEDS, null].map((seed) => {
      const scores = scored(seed ?? 1);
      const decoding = seed === null ? ('greedy' as const) : ('sampled' as const);
      return makeEvaluation({ ...row, dataset, decoding, seed, scores, mean: mean(scores) });
    });
    return set === 0 ? [...generated, ...measured(shape, row)] : generated;
  });
}

function measured(shape: StageShape, row: Partial<EvaluationRow>): EvaluationRow[] {
  const metrics = shape.teacher === undefined ? ['cross_entropy'] : ['cross_entropy', 'forward_kl'];
  return metrics.map((metric, at) => {
    const scores = Array.from(
      { length: TEST_ROWS },
      (_, item) => 1 + at - shape.score / 100 + 0.3 * noise(item, at),
    );
    return makeEvaluation({
      ...row,
      dataset: 'validation',
      metric,
      decoding: 'teacher_forced',
      seed: null,
      mean: scores.reduce((sum, score) => sum + score, 0) / TEST_ROWS,
      ended: null,
      mean_length: null,
      scores,
    });
  });
}

function sampleRows(shape: StageShape): SampleRow[] {
  const tasks = [
    ['reverse: stone', 'enots', shape.score > 30 ? 'enots' : 'enost'],
    ['roman numeral of 14', 'XIV', shape.score > 20 ? 'XIV' : 'XVI'],
    ['sort: pear, fig, apple', 'apple, fig, pear', shape.score > 80 ? 'apple, fig, pear' : ''],
  ] as const;
  return TEST_SETS.slice(0, 2).flatMap((dataset) =>
    tasks.map(([prompt, reference, text], row) =>
      makeSample({
        stage: shape.name,
        step: shape.steps,
        dataset,
        row,
        prompt,
        text,
        references: [reference],
      }),
    ),
  );
}
