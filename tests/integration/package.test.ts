import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { EvaluationRow } from '../../ts/index.js';
import { installPackage, runIn, snapshot } from './installed_package.js';
import { PYTHON, ROOT, TINY } from './tiny_run.js';

// One thread and rows enough for a figure: what is tested is that everything is found, not what it learns.
const SHORT = [
  '--steps=2',
  ...['train', 'validation', 'seen', 'phrasing', 'longer', 'composition', 'parameters'].map(
    (name) => `--set=data.${name}.limit=8`,
  ),
  '--set=worker.threads=1',
  '--set=stage_defaults.evaluation.seeds=[10]',
  '--set=stage_defaults.training.batch_size=8',
];

let folder: string;
let data: string;
let code: string;
let packed: ReadonlyMap<string, string>;

beforeAll(() => {
  folder = installPackage();
  data = path.join(folder, 'data');
  code = path.join(folder, 'node_modules/ammd');
  packed = snapshot(code);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const settings = () => ({ XDG_DATA_HOME: data, HOME: path.join(folder, 'home') });
const ammd = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
  runIn(folder, ['npx', '--no-install', 'ammd', ...args], { ...settings(), ...more });

describe('the package in an empty folder', () => {
  test('says what it is without setting anything up', () => {
    const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(ammd(['--version'])).toMatchObject({ status: 0, stdout: `${version}\n` });
    expect(existsSync(data)).toBe(false);
  });

  test('finds its configurations from any folder', () => {
    const elsewhere = path.join(folder, 'else where');
    mkdirSync(elsewhere);
    const program = path.join(folder, 'node_modules/.bin/ammd');
    const checked = runIn(elsewhere, [program, 'check', 'quickstart', '--dry-run', '--json'], settings());
    expect(checked.status).toBe(0);
    expect(JSON.parse(checked.stdout)).toMatchObject({ config: { name: 'quickstart' }, preflight: [] });
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  test('tells what to do where there is no Python', () => {
    const program = path.join(code, 'ts/bootstrap.mjs');
    const nothing = { ...settings(), PATH: path.join(folder, 'no programs') };
    const { status, stdout, stderr } = runIn(folder, [process.execPath, program, 'quickstart'], nothing);
    expect(stderr).toMatch(/Found no Python 3\.11 to 3\.14 .*\n +Install one .*AMMD_PYTHON=/);
    expect({ status, stdout }).toEqual({ status: 5, stdout: '' });

    const doctor = runIn(folder, [process.execPath, program, 'doctor'], nothing);
    expect(doctor.stdout).toMatch(/problem +worker .*is not set up[\s\S]*to get it: npx ammd setup/);
    expect(doctor.status).toBe(5);
  });

  test('runs the main job, and writes in the working folder only', () => {
    const { status, stdout, stderr } = ammd(['quickstart', ...SHORT, '--out', 'my run'], {
      AMMD_PYTHON_ENV: PYTHON,
      OMP_NUM_THREADS: '1',
    });
    expect(`${status} ${stderr}`).toBe('0 ');
    const run = path.join(folder, 'my run');
    for (const stage of ['teacher', 'start', 'sft', 'kd', 'ammd']) {
      expect(stdout).toMatch(new RegExp(`^\\W*${stage} .*\\d`, 'm'));
      expect(readFileSync(path.join(run, 'stages', stage, 'metrics.jsonl'), 'utf8')).toContain('"step":2');
      expect(existsSync(path.join(run, 'stages', stage, 'student/model.safetensors'))).toBe(true);
    }
    expect(stdout).toContain(`report      ${path.join(run, 'report.html')}`);
    expect(readFileSync(path.join(run, 'report.html'), 'utf8')).toMatch(/^<!doctype html>/i);
    expect(snapshot(code)).toEqual(packed);
    expect(
      readdirSync(folder)
        .filter((name) => name !== 'home')
        .sort(),
    ).toEqual(['.ammd', 'data', 'else where', 'my run', 'node_modules'].sort());
  });

  test('runs its example for scripts', () => {
    writeFileSync(path.join(folder, 'my.yaml'), `extends: ${TINY}\nname: mine\nstages: {ammd: null}\n`);
    const example = path.join(code, 'ts/examples/seeds.mjs');
    const { status, stdout, stderr } = runIn(folder, [process.execPath, example, 'my.yaml', '5'], {
      ...settings(),
      AMMD_PYTHON_ENV: PYTHON,
      OMP_NUM_THREADS: '1',
    });
    expect(`${status} ${stderr}`).toBe('0 ');
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Pick<EvaluationRow, 'stage' | 'mean'> & { seed: string });
    expect(new Set(rows.map(({ seed, stage }) => `${seed} ${stage}`))).toEqual(new Set(['5 teacher']));
    expect(rows.every(({ mean }) => Number.isFinite(mean))).toBe(true);
    expect(existsSync(path.join(folder, 'runs/mine-seed-5/report.html'))).toBe(true);
  });
});
