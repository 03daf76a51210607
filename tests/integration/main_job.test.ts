import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { configHash, resolveConfig } from '../../ts/config/resolve.js';
import type { MessageLogEntry } from '../../ts/dispatch/client.js';
import { sendStep } from '../../ts/dispatch/send_step.js';
import type { RunEvent } from '../../ts/metrics/events.js';
import { readJournal } from '../../ts/metrics/journal.js';
import { evaluationRowSchema, sampleRowSchema, stepRowSchema } from '../../ts/metrics/rows.js';
import { planRun } from '../../ts/plan/run.js';
import { withRows } from '../../ts/plan/stage.js';
import { buildReport } from '../../ts/report/build.js';
import { readManifest } from '../../ts/run/folder/manifest.js';
import { RunFolder } from '../../ts/run/folder/run_folder.js';
import { rowsOf } from '../../ts/run/loaded/loaded_stage.js';
import { startRun } from '../../ts/run/run.js';
import { listCheckpoints, readCheckpoint } from '../../ts/run/saved/checkpoints.js';
import { loadStage } from '../../ts/run/workers/load_stage.js';
import { openSession } from '../../ts/run/workers/session.js';
import { advance, INITIAL_STATE } from '../../ts/schedule/state.js';
import { planStep } from '../../ts/schedule/step.js';
import { captureProgram, jsonLinesOf, linesOf, runCaptured } from '../ts/cli/captured.js';
import { outcomeOf, PYTHON, TINY } from './tiny_run.js';

const folder = mkdtempSync(path.join(tmpdir(), 'ammd-main-job-'));
const run = new RunFolder(path.join(folder, 'run'));
const resolved = resolveConfig(TINY);
const home = process.cwd();
const messages: MessageLogEntry[] = [];
const events: RunEvent[] = [];

beforeAll(async () => {
  process.chdir(folder); // for the cache of tokenized data
  process.env.AMMD_WORKER_PYTHON = PYTHON;
  await startRun(resolved, run.path, {
    emit: (event) => events.push(event),
    messageLog: (entry) => messages.push(entry),
    report: ({ path: place }) => void buildReport(place),
  });
});

afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
});

const requests = () => messages.filter(({ direction, kind }) => direction === 'sent' && kind === 'request');
const json = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'));
const stages = Object.keys(resolved.config.stages);

describe('on the wire', () => {
  test('each stage loads its models, teacher first, then data and critics', () => {
    const ops = requests().map(({ op }) => op);
    const second = ops.indexOf('reset', ops.indexOf('reset') + 1);
    expect(ops.slice(0, 6)).toEqual([
      'configure',
      'reset',
      'load_role',
      ...['register_data', 'register_data', 'register_data'],
    ]);
    expect(ops.slice(second, second + 8)).toEqual([
      'reset',
      ...['load_role', 'load_role'],
      ...['register_data', 'register_data', 'register_data'],
      ...['load_critic', 'load_critic'],
    ]);
  });

  test('an AMMD step is generate, build, score, K times step_critic, step_student, end_step', () => {
    const sent = requests();
    const first = sent.findIndex(({ op }) => op === 'generate');
    const step = ['generate', 'build', 'score', 'step_critic', 'step_critic', 'step_student', 'end_step'];
    const two = [...step, ...step];
    expect(sent.slice(first, first + two.length).map(({ op }) => op)).toEqual(two);
  });

  test('a step is sent before the one before it has been answered', () => {
    const end = messages.findIndex(({ op, direction }) => op === 'end_step' && direction === 'received');
    const built = messages
      .slice(0, end)
      .filter(({ op, direction }) => op === 'build' && direction === 'sent');
    expect(built).toHaveLength(2);
  });

  test('nothing fails and every request is answered', () => {
    expect(messages.filter(({ error }) => error !== undefined)).toEqual([]);
    const answers = messages.filter(({ direction }) => direction === 'received');
    expect(new Set(answers.map(({ id }) => id))).toEqual(new Set(requests().map(({ id }) => id)));
  });

  test('live handles stay as many and as large over the steps', async () => {
    const session = await openSession(resolved.config.worker, path.join(folder, 'handles.log'));
    try {
      const planned = planRun(resolved).stages[1];
      if (planned === undefined) throw new Error('no AMMD stage');
      const loaded = await loadStage(session.client, planned, resolved.config, run);
      const stage = withRows(planned, rowsOf(loaded));
      const usage: unknown[] = [];
      for (let state = INITIAL_STATE; state.step < 4; state = advance(stage, state)) {
        const end = (await sendStep(session.client, planStep(stage, state))).at(-1);
        usage.push(end?.op === 'end_step' ? end.result.handles : 'no end_step');
      }
      const { result } = await session.client.call('report_memory', {});
      expect(usage).toEqual(usage.map(() => result.handles));
      expect(result.handles.find(({ scope }) => scope === 'step') ?? { count: 0 }).toMatchObject({
        count: 0,
      });
    } finally {
      await session.close();
    }
  });
});

describe('the run folder', () => {
  test('has the resolved configuration, its hash and the manifest', () => {
    expect(configHash(resolveConfig(run.config).config)).toBe(resolved.hash);
    expect(readFileSync(run.configHash, 'utf8')).toBe(`${resolved.hash}\n`);
    const manifest = readManifest(run.manifest, new Date());
    expect(Object.keys(manifest.stages)).toEqual(stages);
    expect(manifest).toMatchObject({
      config_hash: resolved.hash,
      versions: { torch: expect.any(String), transformers: expect.any(String) },
      stages: { ammd: { models: { student: {}, teacher: {} }, data: { train: { rows: 200 } } } },
    });
    expect(existsSync(run.lock)).toBe(false);
  });

  test('has the report in three forms', () => {
    expect(json(run.results)).toMatchObject({ format: 'ammd-results', config_sha256: resolved.hash });
    expect(readFileSync(run.table, 'utf8')).toContain('ammd');
    expect(readFileSync(run.report, 'utf8')).toMatch(/^<!doctype html>/i);
  });

  test.each(stages)('stage %s has rows of every kind, curves and a finished student', (name) => {
    const stage = run.stage(name);
    const steps = readJournal(stage.metrics, stepRowSchema);
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(steps.every(({ metrics }) => typeof metrics.loss === 'number')).toBe(true);
    const evaluations = readJournal(stage.evaluations, evaluationRowSchema);
    expect(evaluations.filter(({ final }) => final).map(({ dataset }) => dataset)).toEqual(
      expect.arrayContaining(['validation', 'seen']),
    );
    expect(evaluations.some(({ final }) => !final)).toBe(true);
    expect(readJournal(stage.samples, sampleRowSchema).length).toBeGreaterThan(0);
    expect(readdirSync(stage.tensorboard)).toHaveLength(1);
    expect(json(stage.done)).toMatchObject({ stage: name });
  });

  test.each(stages)('stage %s has checkpoints whose files are as the manifest says', (name) => {
    const checkpoints = listCheckpoints(run.stage(name).checkpoints).map(readCheckpoint);
    expect(checkpoints.map(({ manifest }) => manifest.step).slice(0, 2)).toEqual([6, 4]);
    for (const { folder: place, manifest } of checkpoints) {
      expect(manifest.files.length).toBeGreaterThan(2);
      for (const file of manifest.files) {
        const content = readFileSync(path.join(place, file.name));
        expect(createHash('sha256').update(content).digest('hex')).toBe(file.sha256);
        expect(file.name).toMatch(/\.(safetensors|json)$/);
      }
    }
  });

  test('events and files tell the same', () => {
    for (const name of stages) {
      const rows = readJournal(run.stage(name).metrics, stepRowSchema);
      expect(events.filter((event) => event.kind === 'step' && event.stage === name)).toEqual(rows);
    }
    expect(events[0]).toMatchObject({ kind: 'run_started', folder: run.path });
    expect(events.at(-1)).toMatchObject({ kind: 'run_finished', report: run.report });
  });

  test('seconds of a step sum up, and the wire carries kilobytes', () => {
    for (const row of readJournal(run.stage('ammd').metrics, stepRowSchema)) {
      const { total, ...phases } = row.seconds;
      const sum = Object.values(phases).reduce((all, one) => all + one, 0);
      expect(sum).toBeGreaterThanOrEqual(total * 0.999);
      expect(row.wire_bytes).toBeLessThan(10_000);
    }
  });

  test('the exported student is a model of the Transformers library', () => {
    const program = path.join(home, 'tests/integration/load_student.py');
    const environment = { ...process.env, OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1' };
    const said = execFileSync(PYTHON, [program, run.stage('ammd').student], {
      encoding: 'utf8',
      env: environment,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const started = events.find((event) => event.kind === 'stage_started' && event.stage === 'ammd');
    const { student } = (started as Extract<RunEvent, { kind: 'stage_started' }>).parameters;
    const loaded = JSON.parse(said) as { readonly drawn: number };
    expect(loaded).toMatchObject({ parameters: student, text: 'reverse: abc', eos: true });
    expect(loaded.drawn).toBeGreaterThan(0);
  });
});

describe('train and resume', () => {
  const stopped = path.join(folder, 'stopped');
  const timed = path.join(folder, 'timed');

  test('a signal stops the run after a checkpoint, with status 130 and the way to go on', async () => {
    let asked = false;
    const { status, stdout, stderr } = await captureProgram(
      ['train', TINY, '--out', stopped, '--json'],
      (text) => {
        if (asked || !/^{"kind":"step","stage":"ammd","step":3,/.test(text)) return;
        asked = true;
        process.emit('SIGINT', 'SIGINT');
      },
    );
    expect(status).toBe(130);
    expect(JSON.parse(stderr)).toMatchObject({
      code: 'interrupted',
      hint: 'continue with: ammd resume stopped',
    });
    const printed = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as RunEvent);
    expect(printed.filter(({ kind }) => kind === 'note')).toContainEqual({
      kind: 'note',
      message: expect.stringContaining('SIGINT: stopping after this step'),
    });
    expect(printed.at(-1)).toMatchObject({ kind: 'checkpoint', stage: 'ammd' });
    expect(existsSync(path.join(stopped, 'lock'))).toBe(false);
  });

  test('its time over, a run stops with status 6, and with another time goes on', async () => {
    const { status, stderr } = await captureProgram(
      ['train', TINY, '--set', 'max_hours=5', '--max-hours', '1e-6', '--out', timed, '--json'],
      () => {},
    );
    expect(status).toBe(6);
    expect(JSON.parse(stderr)).toMatchObject({
      code: 'time_over',
      hint: 'continue with: ammd resume timed',
    });
    expect((await runCaptured('resume', timed)).status).toBe(0);
    for (const name of stages) expect(outcomeOf(timed, name)).toEqual(outcomeOf(run.path, name));
  });

  test('resume goes on and ends as a run that nobody stopped', async () => {
    const lines = await linesOf('resume', stopped);
    expect(lines).toContain('[1/2 teacher] done before');
    expect(lines.at(-2)).toBe(`run folder  ${stopped}`);
    for (const name of stages) expect(outcomeOf(stopped, name)).toEqual(outcomeOf(run.path, name));
    expect(readManifest(new RunFolder(stopped).manifest, new Date()).resumed).toHaveLength(2);
  });
});

describe('the commands on this run', () => {
  test('eval gives the figures of the run’s own evaluation again', async () => {
    const rows = await jsonLinesOf('eval', run.path, '--data', 'seen');
    const final = readJournal(run.stage('ammd').evaluations, evaluationRowSchema).filter(
      (row) => row.final && row.dataset === 'seen',
    );
    expect(final).toHaveLength(2);
    expect(rows).toEqual(final.map((row) => ({ ...row, step: 0 })));
    const [greedy, sampled] = await linesOf('eval', run.path, '--data', 'seen', '--rows', '4');
    expect(greedy).toMatch(/^seen {2}exact_match {2}greedy {2}[\d.]+ {2}\(4 rows, [\d.]+ tokens\)$/);
    expect(sampled).toMatch(/^seen {2}exact_match {2}sampled/);
  });

  test('generate answers each prompt, the same way each time', async () => {
    const ask = ['generate', run.path, '--prompt', 'reverse: abc', '--prompt', 'upper: x', '--seed', '4'];
    const answers = await jsonLinesOf(...ask);
    expect(answers.map(({ prompt }) => prompt)).toEqual(['reverse: abc', 'upper: x']);
    const lines = await linesOf(...ask);
    expect(lines).toEqual(answers.map(({ response }) => response));
  });

  test('check tries every stage', async () => {
    const [report] = await jsonLinesOf('check', TINY);
    const outcomes = report?.preflight as readonly {
      readonly stage: string;
      readonly checks: readonly { ok: boolean }[];
    }[];
    expect(outcomes.map(({ stage }) => stage)).toEqual(stages);
    expect(outcomes.every(({ checks }) => checks.length > 4 && checks.every(({ ok }) => ok))).toBe(true);
    const lines = await linesOf('check', TINY);
    expect(lines[0]).toBe('name: tiny');
    expect(lines.filter((line) => /^stage ammd: ok {3}\w+ /.test(line)).length).toBe(
      outcomes[1]?.checks.length,
    );
  });

  test('doctor finds what is there', async () => {
    const [report] = await jsonLinesOf('doctor');
    const findings = report?.findings as readonly { readonly name: string; readonly state: string }[];
    expect(findings.filter(({ state }) => state === 'problem')).toEqual([]);
    expect(findings.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['node', 'worker', 'torch', 'device']),
    );
    const lines = await linesOf('doctor');
    expect(lines.find((line) => line.includes('torch'))).toMatch(/^ok {7}torch +2\./);
  });

  test('report writes the same again', async () => {
    const before = readFileSync(run.results, 'utf8');
    const [results] = await jsonLinesOf('report', run.path);
    expect(results).toEqual(JSON.parse(before));
    expect((await linesOf('report', run.path)).at(-1)).toBe(`report      ${run.report}`);
    expect(readFileSync(run.results, 'utf8')).toBe(before);
  });

  test('resume says that there is nothing to resume', async () => {
    const { status, stderr } = await runCaptured('resume', run.path);
    expect(status).toBe(2);
    expect(stderr).toMatch(/is finished\n.*report\.html/);
  });
});
