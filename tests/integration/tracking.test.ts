import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { StepRow } from '../../ts/metrics/rows.js';
import { jsonLines, ROOT, startCommand, TINY } from './tiny_run.js';

const folder = mkdtempSync(path.join(tmpdir(), 'ammd-tracking-'));
const environment = { ...process.env };
// One short stage; the package is a fixture that records calls.
const ARGS = [
  '--set',
  'stages.ammd=null',
  '--set',
  'tracking.wandb={project: distil, mode: offline}',
  '--json',
];

let calls = '';
beforeAll(() => {
  process.env.PYTHONPATH = path.join(ROOT, 'tests/fixtures/fake_wandb');
});
beforeEach(() => {
  calls = path.join(mkdtempSync(path.join(folder, 'calls-')), 'calls.jsonl');
  process.env.FAKE_WANDB_CALLS = calls;
});
afterAll(() => {
  for (const name of ['PYTHONPATH', 'FAKE_WANDB_CALLS', 'FAKE_WANDB_FAILS']) delete process.env[name];
  Object.assign(process.env, environment);
  rmSync(folder, { recursive: true, force: true });
});

interface Call {
  readonly call: string;
  readonly id?: string;
  readonly exit_code?: number;
  readonly values?: Readonly<Record<string, number>>;
}

test('a run that stops and goes on is one run of the service, with every row', async () => {
  const out = path.join(folder, 'run');
  const stopped = startCommand(['train', TINY, ...ARGS, '--out', out, '--max-hours', '1e-6']);
  expect((await stopped.exit).code).toBe(6);
  const resumed = startCommand(['resume', out, '--json']);
  expect(`${(await resumed.exit).code} ${resumed.stderr()}`).toBe('0 ');

  const made = jsonLines<Call>(calls);
  const begun = made.filter(({ call }) => call === 'init');
  expect(begun).toHaveLength(2);
  expect(begun[0]?.id).toBe(begun[1]?.id);
  expect(made.filter(({ call }) => call === 'finish').map((call) => call.exit_code)).toEqual([1, 0]);

  const rows = jsonLines<StepRow>(path.join(out, 'stages/teacher/metrics.jsonl'));
  const losses = made.flatMap(({ values }) =>
    values?.['teacher/train/loss'] === undefined
      ? []
      : [[values['teacher/step'], values['teacher/train/loss']]],
  );
  expect(losses).toEqual(rows.map(({ step, metrics }) => [step, metrics.loss]));
  const summary = made.find(({ call }) => call === 'summary');
  expect(Object.keys(summary?.values ?? {})).toContain('teacher/seen/exact_match/sampled');
});

test('a run does not mind that its tracker fails', async () => {
  process.env.FAKE_WANDB_FAILS = 'log';
  const run = startCommand(['train', TINY, ...ARGS, '--out', path.join(folder, 'failing')]);
  expect(`${(await run.exit).code} ${run.stderr()}`).toBe('0 ');
  expect(jsonLines<Call>(calls).map(({ call }) => call)).toEqual(['init', 'define_metric', 'finish']);
});
