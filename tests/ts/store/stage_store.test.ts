import { existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import type { RunEvent } from '../../../ts/metrics/events.js';
import { StageStore } from '../../../ts/store/stage_store.js';
import { storedStage } from '../../../ts/store/stored_stage.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';
import { RUN, resolveRun, resolveText } from '../config/workspace.js';
import { failWith, type ScriptedClient } from '../run/scripted_client.js';
import { ScriptedPool } from './scripted_pool.js';

const STEPS = ['stages.teacher.training.steps=3', 'stages.student.training.steps=4'];
const stageOf = (...overrides: readonly string[]) =>
  storedStage(resolveRun(...STEPS, ...overrides).config, 'student');

function scene(prepare?: (client: ScriptedClient, index: number) => void, jobs = 1) {
  const store = new StageStore(path.join(temporaryFolder(), 'store'));
  const { pool, clients } = new ScriptedPool(jobs, prepare);
  const events: RunEvent[] = [];
  const emit = (event: RunEvent) => void events.push(event);
  return { store, clients, events, run: (stage = stageOf()) => store.run(stage, { pool, emit }) };
}

/** A store whose stage `student` failed in its third step, with a checkpoint after the second. */
async function begun() {
  const stage = stageOf('stages.student.checkpoints.every=2');
  const { store, run } = scene((client) => {
    client.before('step_student', 3 + 3, failWith('out_of_memory', 'too much'));
  });
  await expect(run(stage)).rejects.toThrow('too much');
  return { store, stage };
}

const stepsSent = (client: ScriptedClient | undefined) => client?.argsOf('step_student').length;

test('a stage is trained after its parents, on one warm worker, and never again', async () => {
  const { store, clients, run, events } = scene();
  const stage = stageOf();
  const [parent] = stage.parents;
  if (parent === undefined) throw new Error('the student has a teacher');
  expect(store.isDone(stage)).toBe(false);
  const folder = await run();
  expect(folder.path).toBe(store.folder(stage).path);
  expect([store.isDone(parent), store.isDone(stage)]).toEqual([true, true]);
  expect(stepsSent(clients[0])).toBe(3 + 4);
  expect(clients).toHaveLength(1);
  const [, teacher] = clients[0]?.argsOf('load_role').map(({ model }) => model.source) ?? [];
  expect(teacher).toBe(store.student(parent));
  const steps = events.filter(({ kind }) => kind === 'step');
  expect(steps).toHaveLength(4);

  await run();
  expect(stepsSent(clients[0])).toBe(3 + 4);
  await run(stageOf('stages.student.training.lr.from=2e-3'));
  expect(stepsSent(clients[0])).toBe(3 + 4 + 4);
});

test('of a stage that is done no checkpoint is left, though a kill came before it was deleted', async () => {
  const { store, run } = scene((client) => {
    client.before('step_student', 3 + 4, failWith('out_of_memory', 'too much'));
  });
  const own = (of = stageOf()) => store.folder(of).stage(of.name).checkpoints;
  await expect(run(stageOf('stages.student.checkpoints.every=2'))).rejects.toThrow('too much');
  expect(readdirSync(own(stageOf('stages.student.checkpoints.every=2')))).not.toEqual([]);
  const [parent] = stageOf().parents;
  if (parent === undefined) throw new Error('the student has a teacher');
  expect(existsSync(own(parent))).toBe(false);
  mkdirSync(own(parent));
  await run(parent);
  expect(existsSync(own(parent))).toBe(false);
});

test('adapters are kept: the exported student has them merged', async () => {
  const { store, run } = scene();
  const stage = stageOf('stages.student.training.lora={rank: 2}');
  await run(stage);
  expect(readdirSync(store.folder(stage).stage(stage.name).checkpoints)).toEqual(['step-00000004']);
});

test('stages that ask for one parent at once get it trained once', async () => {
  const { clients, run } = scene(undefined, 2);
  await Promise.all([run(), run(stageOf('stages.student.training.lr.from=2e-3')), run()]);
  expect(clients.reduce((sum, client) => sum + (stepsSent(client) ?? 0), 0)).toBe(3 + 4 + 4);
});

test('a stage that failed is continued when it is asked for again', async () => {
  const { store, clients, run } = scene((client, index) => {
    if (index === 0) client.before('step_student', 3 + 3, failWith('out_of_memory', 'too much'));
  });
  await expect(run()).rejects.toThrow('too much');
  expect(store.isDone(stageOf())).toBe(false);
  await run();
  expect(clients).toHaveLength(2);
  expect(store.isDone(stageOf())).toBe(true);
  expect(clients[1]?.argsOf('load_role').map(({ role }) => role)).toEqual(['teacher', 'student']);
});

test('in a store that was moved what was begun is trained anew, and said so', async () => {
  const { store, stage } = await begun();
  const moved = new StageStore(path.join(temporaryFolder(), 'moved'));
  renameSync(store.path, moved.path);
  const { pool, clients } = new ScriptedPool();
  const events: RunEvent[] = [];
  await moved.run(stage, { pool, emit: (event) => void events.push(event) });
  expect(stepsSent(clients[0])).toBe(4);
  const notes = events.flatMap((event) => (event.kind === 'note' ? [event.message] : []));
  expect(notes).toContainEqual(expect.stringMatching(/^\S+ cannot be gone on with .* no such file/s));
});

test('by another path to the same store what was begun is gone on with', async () => {
  const { store, stage } = await begun();
  const link = path.join(temporaryFolder(), 'link');
  symlinkSync(store.path, link);
  const { pool, clients } = new ScriptedPool();
  await new StageStore(link).run(stage, { pool, emit: () => {} });
  expect(stepsSent(clients[0])).toBe(2);
});

test('what another process has taken is left to it, though it cannot go on', async () => {
  const { store, stage } = await begun();
  const moved = new StageStore(path.join(temporaryFolder(), 'moved'));
  renameSync(store.path, moved.path);
  const folder = moved.folder(stage);
  const owner = { pid: process.ppid, host: hostname(), since: '2026-01-01T00:00:00Z' };
  writeFileSync(folder.lock, JSON.stringify(owner));
  const { pool } = new ScriptedPool();
  const again = moved.run(stage, { pool, emit: () => {} });
  await expect(again).rejects.toMatchObject({ code: 'run_locked' });
  expect(existsSync(folder.config)).toBe(true);
});

test('what a killed process had begun to make is made anew', async () => {
  const { store, run } = scene();
  const folder = store.folder(stageOf());
  mkdirSync(folder.path, { recursive: true });
  writeFileSync(path.join(folder.path, 'stray'), '');
  await run();
  expect(existsSync(path.join(folder.path, 'stray'))).toBe(false);
});

test('when one parent fails the other is waited for: nothing is trained that nobody waits for', async () => {
  const text = RUN.replace(
    '  student:\n    student: tiny',
    '  start: {student: tiny, method: sft}\n  student:\n    student: {stage: start}',
  );
  const { store, run } = scene((client, index) => {
    if (index === 0) client.before('step_student', 1, failWith('out_of_memory', 'too much'));
  });
  const stage = storedStage(resolveText(text, STEPS).config, 'student');
  expect(stage.parents.map(({ name }) => name)).toEqual(['start', 'teacher']);
  await expect(run(stage)).rejects.toThrow('too much');
  expect(stage.parents.map((parent) => store.isDone(parent))).toEqual([false, true]);
});
