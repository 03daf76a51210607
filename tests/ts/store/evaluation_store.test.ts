import { readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import type { DatasetConfig } from '../../../ts/config/schema.js';
import { type EvaluationRequest, EvaluationStore } from '../../../ts/store/evaluation_store.js';
import { StageStore } from '../../../ts/store/stage_store.js';
import { storedStage } from '../../../ts/store/stored_stage.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';
import { resolveRun } from '../config/workspace.js';
import { ScriptedPool } from './scripted_pool.js';

const RUN = resolveRun(
  'stages.teacher.training.steps=2',
  'stages.student.training.steps=2',
  'stages.student.rollout.engine=forward',
  'models.tiny.compute_dtype=bfloat16',
);
const STAGE = storedStage(RUN.config, 'student');

function request(changes: Partial<EvaluationRequest> = {}): EvaluationRequest {
  const check = RUN.config.data.check as DatasetConfig;
  const { sampling } = RUN.config.stages.student?.evaluation ?? {};
  if (sampling === undefined) throw new Error('the demo run has a student');
  return {
    datasets: { check },
    greedy: true,
    seeds: [10, 20],
    sampling,
    samples: 2,
    metrics: ['exact_match'],
    rows: null,
    ...changes,
  };
}

function scene() {
  const folder = temporaryFolder();
  const { pool, clients } = new ScriptedPool();
  const stop = new AbortController();
  const stages = new StageStore(path.join(folder, 'stages'));
  const fingerprints = new Map<string, string>();
  const store = new EvaluationStore(
    path.join(folder, 'evaluations'),
    stages,
    (source) => fingerprints.get(source) ?? source,
  );
  return {
    pool,
    fingerprints,
    store,
    train: () => stages.run(STAGE, { pool, emit: () => {} }),
    run: (changes?: Partial<EvaluationRequest>) =>
      store.run(STAGE, request(changes), { pool, signal: stop.signal }),
    stop,
    clients,
    files: () => readdirSync(path.join(folder, 'evaluations')).sort(),
    requests: () => clients[0]?.argsOf('evaluate') ?? [],
    client: () => clients[0],
    student: () => stages.student(STAGE),
  };
}

test('a student is evaluated on each set under each decoding, once', async () => {
  const it = scene();
  await it.train();
  const before = it.requests().length;
  expect(it.store.isDone(STAGE, request())).toBe(false);
  const { rows, samples } = await it.run();
  expect(rows.map(({ decoding, seed, final, rows: count }) => [decoding, seed, final, count])).toEqual([
    ['greedy', null, true, 8],
    ['sampled', 10, true, 8],
    ['sampled', 20, true, 8],
  ]);
  expect(rows.every(({ scores }) => scores?.length === 8)).toBe(true);
  expect(samples).toHaveLength(2);
  expect(it.requests().length).toBe(before + 3);
  expect(it.store.isDone(STAGE, request())).toBe(true);
  expect(await it.run()).toEqual({ rows, samples });
  expect(it.requests().length).toBe(before + 3);
});

test('what is new is evaluated alone', async () => {
  const it = scene();
  await it.train();
  await it.run();
  const before = it.requests().length;
  await it.run({ seeds: [10, 20, 30] });
  expect(it.requests().slice(before)).toMatchObject([{ seed: 30, dataset: 'check' }]);
  await it.run({ rows: 4 });
  expect(
    it
      .requests()
      .slice(before + 1)
      .map(({ rows }) => rows),
  ).toEqual([
    [0, 1, 2, 3],
    [0, 1, 2, 3],
    [0, 1, 2, 3],
  ]);
  it.fingerprints.set('builtin:microtasks', 'other content');
  expect(it.store.isDone(STAGE, request())).toBe(false);
});

test('the exported student is loaded, whole, frozen and computed as it was trained, and no teacher beside it', async () => {
  const it = scene();
  await it.train();
  await it.run();
  const loaded = it.client()?.argsOf('load_role').at(-1);
  expect(loaded).toMatchObject({ role: 'student', engine: 'forward' });
  expect(loaded?.model).toMatchObject({
    source: it.student(),
    init: 'pretrained',
    compute_dtype: 'bfloat16',
  });
  expect(loaded).not.toHaveProperty('optimizer');
  expect(it.client()?.argsOf('reset').at(-1)).toEqual({});
});

test('an evaluation that was stopped keeps what it had', async () => {
  const it = scene();
  await it.train();
  it.client()?.before('evaluate', it.requests().length + 2, () => {
    throw new Error('killed');
  });
  await expect(it.run()).rejects.toThrow();
  expect(it.files()).toHaveLength(1);
});

test('of evaluations that wait for a worker when they are stopped none begins', async () => {
  const it = scene();
  await it.train();
  const before = it.requests().length;
  it.client()?.before('evaluate', before + 1, () => it.stop.abort());
  const outcomes = await Promise.allSettled([it.run(), it.run({ seeds: [30] }), it.run({ seeds: [40] })]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  expect(it.clients.length).toBe(1);
});
