import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { resolveConfig } from '../../ts/config/resolve.js';
import { readJournal } from '../../ts/metrics/journal.js';
import { stepRowSchema } from '../../ts/metrics/rows.js';
import { RunFolder } from '../../ts/run/folder/run_folder.js';
import { startRun } from '../../ts/run/run.js';
import { jsonLinesOf, linesOf, runCaptured } from '../ts/cli/captured.js';
import { PYTHON, TINY } from './tiny_run.js';

const folder = mkdtempSync(path.join(tmpdir(), 'ammd-export-'));
const run = new RunFolder(path.join(folder, 'run'));
const stage = run.stage('ammd');
const home = process.cwd();

/** The tiny run, with a second stage that trains adapters on the first stage's student. */
beforeAll(async () => {
  process.chdir(folder);
  process.env.AMMD_WORKER_PYTHON = PYTHON;
  const resolved = resolveConfig(TINY, [
    'stages.teacher.training.steps=2',
    'stages.ammd.student={stage: teacher}',
    'stages.ammd.training.steps=4',
    'stages.ammd.training.lora={rank: 4}',
  ]);
  await startRun(resolved, run.path, { emit: () => {}, report: () => {} });
});

afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
});

const bytes = (...parts: readonly string[]) => readFileSync(path.join(...parts));

test('adapters were trained, with dropout, and the student is a model without them', () => {
  const rows = readJournal(stage.metrics, stepRowSchema);
  expect(rows.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
  expect(rows.every(({ metrics }) => metrics.skipped === 0)).toBe(true);
  expect(existsSync(path.join(stage.student, 'config.json'))).toBe(true);
  expect(existsSync(path.join(stage.student, 'adapter_config.json'))).toBe(false);
  const before = run.stage('teacher').student;
  const sizes = [stage.student, before].map((place) => bytes(place, 'model.safetensors').length);
  expect(sizes[0]).toBe(sizes[1]);
  expect(bytes(stage.student, 'model.safetensors')).not.toEqual(bytes(before, 'model.safetensors'));
});

test('a run’s model is the student of its last stage', async () => {
  const [written] = await jsonLinesOf('export', run.path, '--out', 'model');
  expect(written).toMatchObject({ form: 'merged', stage: 'ammd', out: path.join(folder, 'model') });
  expect(readdirSync('model').sort()).toEqual(readdirSync(stage.student).sort());
  for (const file of readdirSync('model')) expect(bytes('model', file)).toEqual(bytes(stage.student, file));
});

test('a checkpoint’s model has its weights, bit for bit', async () => {
  const { step } = JSON.parse(readFileSync(stage.done, 'utf8')) as { readonly step: number };
  const checkpoint = path.join(stage.checkpoints, `step-${String(step).padStart(8, '0')}`);
  const lines = await linesOf('export', checkpoint, '--out', 'from-checkpoint');
  expect(lines).toEqual([`model of stage ammd after step ${step}: from-checkpoint`]);
  expect(bytes('from-checkpoint', 'model.safetensors')).toEqual(bytes(stage.student, 'model.safetensors'));
});

test('adapters alone are small, and say what the merged model says', async () => {
  await linesOf('export', run.path, '--out', 'adapters', '--form', 'adapter');
  expect(existsSync('adapters/model.safetensors')).toBe(false);
  const config = JSON.parse(readFileSync('adapters/adapter_config.json', 'utf8')) as Record<string, unknown>;
  expect(config).toMatchObject({ r: 4, base_model_name_or_path: run.stage('teacher').student });
  const ask = [
    '--prompt',
    'reverse: abc',
    '--template',
    'plain',
    '--temperature',
    '0',
    '--max-new-tokens',
    '8',
  ];
  const said = await linesOf('generate', 'adapters', ...ask);
  expect(said).toEqual(await linesOf('generate', stage.student, ...ask));
});

test('adapters of weights that no file holds are refused with the way out', async () => {
  const { status, stderr } = await runCaptured(
    ...['export', run.path, '--stage', 'teacher', '--form', 'adapter', '--out', 'none'],
  );
  expect(status).toBe(2);
  expect(stderr).toMatch(/stage teacher trains all weights, not adapters\n.*--form merged/);
  expect(existsSync('none')).toBe(false);
});
