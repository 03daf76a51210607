import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  check,
  type RunEvent,
  RunFolder,
  resolveConfig,
  resolveSweep,
  resume,
  resumeSweep,
  run,
  SweepFolder,
  sweep,
} from '../../ts/index.js';
import { readJournal } from '../../ts/metrics/journal.js';
import { stepRowSchema } from '../../ts/metrics/rows.js';
import { listCheckpoints } from '../../ts/run/saved/checkpoints.js';
import { PYTHON, ROOT, TINY } from './tiny_run.js';

const MAKE_MODELS = path.join(ROOT, 'tests/integration/make_models.py');

const SWEEP = `name: seeds
run: ${TINY}
stage: teacher
set: {stages.ammd: null}
space: {seed: {values: [1, 2]}}
search: {kind: grid}
objective: {metric: exact_match}
`;

const folder = mkdtempSync(path.join(tmpdir(), 'ammd-api-'));
const resolved = resolveConfig(TINY, ['stages.ammd=null']);
const home = process.cwd();
beforeAll(() => process.chdir(folder)); // for the cache of tokenized data
afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
});

test('a reader who leaves finds a checkpoint, from which resume goes on', async () => {
  const out = new RunFolder('run');
  const first: RunEvent[] = [];
  for await (const event of run(resolved, { out: out.path, python: PYTHON })) {
    first.push(event);
    if (event.kind === 'step' && event.step === 1) break;
  }
  expect(first.at(0)).toMatchObject({ kind: 'run_started', folder: out.path });
  const { checkpoints, metrics, done } = out.stage('teacher');
  const reached = readJournal(metrics, stepRowSchema).length;
  expect(path.basename(listCheckpoints(checkpoints)[0] ?? '')).toMatch(new RegExp(`^step-0*${reached}$`));
  expect(reached).toBeLessThan(resolved.config.stages.teacher?.training.steps ?? 0);
  expect(existsSync(done)).toBe(false);
  expect(existsSync(out.lock)).toBe(false);

  const events = resume(out.path, { python: PYTHON });
  const rest: RunEvent[] = [];
  let next = await events.next();
  for (; !next.done; next = await events.next()) rest.push(next.value);
  expect(next.value).toEqual(out);
  expect(rest.find(({ kind }) => kind === 'stage_started')).toMatchObject({ resumed_from: reached });
  expect(rest.at(-1)).toMatchObject({ kind: 'run_finished', report: out.report });
  expect(existsSync(out.report)).toBe(true);
  expect(readJournal(metrics, stepRowSchema).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
});

test('an aborted signal ends the loop with an error that says how to go on', async () => {
  const stop = new AbortController();
  const steps: number[] = [];
  const reading = async () => {
    for await (const event of run(resolved, { out: 'aborted', python: PYTHON, signal: stop.signal })) {
      if (event.kind !== 'step') continue;
      steps.push(event.step);
      stop.abort();
    }
  };
  await expect(reading()).rejects.toMatchObject({
    code: 'interrupted',
    hint: expect.stringContaining('ammd resume'),
  });
  expect(steps.length).toBeGreaterThan(0);
});

test('errors come from the iterator', async () => {
  await expect(resume('nowhere').next()).rejects.toMatchObject({ code: 'run_not_found' });
  const events: RunEvent[] = [];
  const reading = async () => {
    const options = { out: 'none', python: path.join(folder, 'no-such-python') };
    for await (const event of run(resolved, options)) events.push(event);
  };
  await expect(reading()).rejects.toMatchObject({ code: 'worker_start' });
  expect(events[0]).toMatchObject({ kind: 'run_started' });
});

test('two models that cannot be trained together are found before the first stage is', async () => {
  const model = path.join(folder, 't5');
  execFileSync(PYTHON, [MAKE_MODELS, JSON.stringify([{ folder: model, type: 't5', shape: {} }])], {
    env: { ...process.env, PYTHONPATH: ROOT },
  });
  const mixed = resolveConfig(TINY, [`models.small={source: ${model}, init: random}`]);
  const events: RunEvent[] = [];
  const out = path.join(folder, 'mixed');
  const reading = async () => {
    for await (const event of run(mixed, { out, python: PYTHON })) events.push(event);
  };
  await expect(reading()).rejects.toThrow(
    /^stage ammd: compare_models failed: student '.*t5' is an encoder-decoder and teacher/,
  );
  expect(events.map(({ kind }) => kind)).toEqual(['run_started']);
  expect(existsSync(out)).toBe(false);
});

test('a configuration is tried without being trained', async () => {
  const { stages, problems } = await check(resolved, { python: PYTHON });
  expect(problems).toEqual([]);
  expect(stages).toMatchObject([{ stage: 'teacher', skipped: null, memory: { fits: true } }]);
  expect(stages[0]?.skipped === null && stages[0].checks.length).toBeGreaterThan(0);
});

test('a sweep that is left goes on with the trials that it has not done', async () => {
  writeFileSync('sweep.yaml', SWEEP);
  const out = new SweepFolder('sweep');
  for await (const event of sweep(resolveSweep('sweep.yaml'), { out: out.path, python: PYTHON }))
    if (event.kind === 'trial') break;

  const trials: number[] = [];
  const events = resumeSweep(out.path, { python: PYTHON });
  let next = await events.next();
  for (; !next.done; next = await events.next())
    if (next.value.kind === 'trial') trials.push(next.value.number);
  expect(next.value.rows.map(({ number, state }) => `${number} ${state}`)).toEqual([
    '0 complete',
    '1 complete',
  ]);
  expect([[1], []]).toContainEqual(trials); // the second may have been done before the first was read
  expect(existsSync(out.best)).toBe(true);
  expect(existsSync(path.join(out.path, 'report.html'))).toBe(true);
});
