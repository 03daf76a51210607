import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import type { TableFile } from '../../../ts/metrics/table_file.js';
import { readTable } from '../../../ts/metrics/table_file.js';
import type { ReproductionEvent } from '../../../ts/reproduce/events.js';
import { ReproductionFolder } from '../../../ts/reproduce/folder.js';
import { seedsOf, tableJobs, tuningJobs } from '../../../ts/reproduce/plan.js';
import { runJobs } from '../../../ts/reproduce/run_jobs.js';
import { planTable } from '../../../ts/reproduce/run_table.js';
import { tableFile } from '../../../ts/reproduce/table.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';
import { failWith, type ScriptedClient } from '../run/scripted_client.js';
import { ScriptedPool } from '../store/scripted_pool.js';
import { tinyProfile } from './scene.js';

const asIs = (source: string) => source;
const ROWS = { train: 200, validation: 12, seen: 10, tuning: 8 };

function scene(prepare: (client: ScriptedClient, index: number) => void = () => {}) {
  const profile = tinyProfile('stage_defaults.training.steps=4');
  const table = profile.config.tables.instruct;
  if (table === undefined) throw new Error('the profile has the table');
  const folder = new ReproductionFolder(path.join(temporaryFolder(), 'reproduction'), asIs);
  const events: ReproductionEvent[] = [];
  const { pool, clients } = new ScriptedPool(2, (client, index) => {
    Object.assign(client.rows, ROWS);
    prepare(client, index);
  });
  const context = {
    stages: folder.stages,
    evaluations: folder.evaluations,
    pool,
    emit: (event: ReproductionEvent) => void events.push(event),
  };
  const jobs = tableJobs(profile, table, seedsOf(profile), new Map(), asIs);
  return { profile, table, folder, events, clients, context, jobs };
}

const steps = (clients: readonly ScriptedClient[]) =>
  clients.reduce((sum, client) => sum + client.argsOf('step_student').length, 0);

test('every student is trained and evaluated once, and found again', async () => {
  const { jobs, context, clients, events } = scene();
  const finished = await runJobs(jobs, ['training', 'evaluation'], context);
  expect(finished.map(({ job }) => job)).toEqual(jobs);
  expect(steps(clients)).toBe(jobs.length * 4);
  for (const { evaluated } of finished)
    expect(evaluated.rows.map(({ decoding, seed }) => [decoding, seed])).toEqual([
      ['greedy', null],
      ['sampled', 10],
      ['sampled', 20],
    ]);
  const again = await runJobs(jobs, ['training', 'evaluation'], context);
  expect(again.map(({ evaluated }) => evaluated)).toEqual(finished.map(({ evaluated }) => evaluated));
  expect(steps(clients)).toBe(jobs.length * 4);
  const started = events.filter((event) => event.kind === 'phase_started');
  expect(started.map(({ phase, done }) => [phase, done])).toEqual([
    ['training', 0],
    ['evaluation', 0],
    ['training', 5],
    ['evaluation', 5],
  ]);
});

test('a job that fails does not keep the others from being done, and is named', async () => {
  let broken = true;
  const fail = failWith('unsupported', 'no such critic');
  const { jobs, context, folder, events } = scene((client) =>
    client.before('load_critic', 1, () => {
      if (broken) fail();
    }),
  );
  await expect(runJobs(jobs, ['training', 'evaluation'], context)).rejects.toMatchObject({
    code: 'reproduction_failed',
    message: expect.stringMatching(
      /^2 of 5 jobs of training failed, first ammd with seed 5: .*no such critic/,
    ),
    cause: { code: 'unsupported' },
    hint: expect.stringContaining('the same command goes on'),
  });
  expect(jobs.filter(({ stored }) => folder.stages.isDone(stored)).map(({ row }) => row)).toEqual([
    'teacher',
    'jsd',
    'jsd',
  ]);
  const told = events.map(({ kind }) => kind);
  expect(told.filter((kind) => kind === 'job_failed')).toHaveLength(2);
  expect(told.indexOf('job_failed')).toBeLessThan(told.lastIndexOf('job_finished'));
  broken = false;
  await expect(runJobs(jobs, ['training', 'evaluation'], context)).resolves.toHaveLength(5);
});

test('a disk that is full is told with the job and how to go on', async () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device'), {
    code: 'ENOSPC',
    syscall: 'write',
  });
  const { jobs, context } = scene((client) =>
    client.before('step_student', 1, () => {
      throw full;
    }),
  );
  await expect(runJobs(jobs, ['training', 'evaluation'], context)).rejects.toMatchObject({
    code: 'reproduction_failed',
    message: expect.stringContaining('no space left'),
    hint: expect.stringContaining('the same command goes on'),
  });
});

test('stages that rows wait for are told, with their notes', async () => {
  const { profile, table, context, events } = scene((client) =>
    Object.assign(client.memory, { available_bytes: 500 }),
  );
  await runJobs(tuningJobs(profile, table, asIs), ['tuning', 'tuning evaluation'], context);
  const notes = events.flatMap((event) => (event.kind === 'note' ? [event.message] : []));
  expect(notes).toContain('teacher is trained first: 4 steps');
  expect(notes).toContainEqual(expect.stringMatching(/^stage teacher: needs more than/));
});

test('a fault of the machine stops the others, and is the one that is told', async () => {
  const { jobs, context, clients, events } = scene((client) =>
    client.before('stage_checkpoint', 1, failWith('checkpoint_error', 'the disk is full')),
  );
  await expect(runJobs(jobs, ['training', 'evaluation'], context)).rejects.toMatchObject({
    code: 'reproduction_failed',
    message: expect.stringMatching(/the disk is full/),
  });
  expect(clients.length).toBeLessThanOrEqual(2);
  expect(events.filter(({ kind }) => kind === 'job_failed').length).toBeLessThanOrEqual(2);
});

test('a reproduction that is stopped says how to go on, and begins nothing more', async () => {
  const stop = new AbortController();
  const { jobs, context, clients } = scene((client) => client.before('step_student', 2, () => stop.abort()));
  await expect(
    runJobs(jobs, ['training', 'evaluation'], { ...context, signal: stop.signal }),
  ).rejects.toMatchObject({ code: 'interrupted' });
  expect(steps(clients)).toBeLessThan(4);
});

test('a plan lists every stage once, with what is done', async () => {
  const { profile, table, folder, context, jobs } = scene();
  const plan = () => planTable(profile, table, { folder, fingerprint: asIs });
  const before = plan();
  // The teacher, and of two rows two values tried and two seeds each.
  expect(before.stages).toHaveLength(1 + 2 * 2 + 2 * 2);
  expect(before.stages[0]).toMatchObject({ stage: 'teacher', done: false, cost: { steps: 4 } });
  expect(before.stages[0]?.for).toHaveLength(9);
  expect(before.evaluations).toEqual({ all: 9 * 3, done: 0 });
  await runJobs(jobs, ['training', 'evaluation'], context);
  const after = plan();
  expect(after.stages.filter(({ done }) => done)).toHaveLength(5);
  expect(after.evaluations).toEqual({ all: 9 * 3, done: 5 * 3 });
});

test('the table has every row and column, and says what was equal', async () => {
  const { profile, table, context, jobs } = scene();
  await runJobs(tuningJobs(profile, table, asIs), ['tuning', 'tuning evaluation'], context);
  const finished = await runJobs(jobs, ['training', 'evaluation'], context);
  const file: TableFile = tableFile({
    profile: profile.config,
    name: 'instruct',
    table,
    seeds: [5, 6],
    tuned: {
      choices: new Map([['ammd', 4e-3]]),
      figures: new Map([
        ['jsd', 30],
        ['ammd', 31],
      ]),
    },
    results: finished.map(({ job, evaluated }) => ({
      row: job.row,
      seed: job.seed,
      evaluations: evaluated.rows,
      tokens: 10 * job.seed,
      seconds: 1,
      place: { row: job.row, seed: job.seed, folder: `../stages/${job.stored.hash}`, stage: job.stored.name },
    })),
    protocol: ['All rows are equal.'],
  });
  expect(file.columns.map(({ title, decoding }) => [title, decoding])).toEqual([
    ['seen', 'sampled'],
    ['seen', 'greedy'],
  ]);
  expect(
    file.rows.map(({ id, label, cells, tokens, tuning_trials }) => [
      id,
      label,
      cells.length,
      tokens,
      tuning_trials,
    ]),
  ).toEqual([
    ['teacher', 'Teacher', 2, 30, null],
    ['jsd', 'JSD', 2, 55, null],
    ['ammd', 'AMMD', 2, 55, 2],
  ]);
  expect(file.primary).toMatchObject({ row: 'ammd', against: 'jsd', column: 0, seeds: 2, rows: 6 });
  expect(file.curves).toHaveLength(5);
  expect(file.samples.map(({ row, seed }) => [row, seed])).toEqual([
    ['teacher', 3],
    ['jsd', 5],
    ['ammd', 5],
  ]);
  expect(file.protocol).toEqual(['All rows are equal.']);
});

test('a folder is of one profile', () => {
  const folder = new ReproductionFolder(path.join(temporaryFolder(), 'one'), asIs);
  folder.claim('tiny');
  folder.claim('tiny');
  expect(() => folder.claim('mini')).toThrow('is of the profile tiny');
  const torn = new ReproductionFolder(temporaryFolder(), asIs);
  writeFileSync(path.join(torn.path, 'reproduction.json'), '{');
  expect(() => torn.claim('tiny')).toThrow('is damaged');
  expect(() => new ReproductionFolder(path.dirname(folder.path), asIs).claim('tiny')).toThrow(
    'holds no reproduction',
  );
  expect(() => new ReproductionFolder(temporaryFolder(), asIs).claim('tiny')).not.toThrow();
  expect(() => readTable(folder.table('instruct'))).toThrow('cannot read');
  expect(JSON.parse(readFileSync(path.join(folder.path, 'reproduction.json'), 'utf8'))).toEqual({
    format: 1,
    profile: 'tiny',
  });
});
