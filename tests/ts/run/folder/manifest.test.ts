import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { planRun } from '../../../../ts/plan/run.js';
import { admit, newManifest, readManifest, writeManifest } from '../../../../ts/run/folder/manifest.js';
import { RunFolder } from '../../../../ts/run/folder/run_folder.js';
import { loadStage } from '../../../../ts/run/workers/load_stage.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';
import { resolveRun } from '../../config/workspace.js';
import { ScriptedClient } from '../scripted_client.js';

const NOW = new Date('2026-03-04T05:06:07Z');
const WORKER = { packages: { torch: '2.13.0' }, devices: ['cpu', 'cuda:0 H200'], device: 'cpu', threads: 2 };
const resolved = resolveRun();
const plan = planRun(resolved);

const stage = plan.stages[1];
if (stage === undefined) throw new Error('the demo run has two stages');
const loaded = await loadStage(new ScriptedClient(), stage, resolved.config, new RunFolder('/run'));

/** A manifest of the demo run once its second stage has been loaded. */
const manifest = (data = resolved.config.data) =>
  admit(newManifest(plan, '1.2.3', WORKER, NOW), stage, loaded, { data, goesOn: false }).manifest;

test('who, what and where', () => {
  const begun = newManifest(plan, '1.2.3', WORKER, NOW);
  expect(begun).toMatchObject({
    format: 1,
    name: 'demo',
    config_hash: resolved.hash,
    seed: 0,
    created: '2026-03-04T05:06:07.000Z',
    resumed: [],
    versions: { ammd: '1.2.3', node: process.versions.node, torch: '2.13.0' },
    hardware: { device: 'cpu', devices: 'cpu, cuda:0 H200', threads: 2, cores: expect.any(Number) },
    stages: {},
  });
  expect(begun.git_commit === null || /^[0-9a-f]{40}(\+changes)?$/.test(begun.git_commit)).toBe(true);
});

test('an imported dataset is cited', async () => {
  const imported = { format: 'ammd-import', dataset: 'dolly', splits: { train: { name: 'train.jsonl' } } };
  const folder = temporaryFolder({ 'manifest.json': JSON.stringify(imported) });
  const { train } = resolved.config.data;
  if (train === undefined) throw new Error('the demo run has data train');
  const source = path.join(folder, 'train.jsonl');
  const { stages } = manifest({ ...resolved.config.data, train: { ...train, source } });
  expect(stages.student?.data.train).toMatchObject({ rows: 10, import: 'dolly' });
  expect(stages.student?.data.check).not.toHaveProperty('import');
});

test('a stage adds its models, data and seeds', async () => {
  const { stages } = manifest();
  expect(Object.keys(stages)).toEqual(['student']);
  expect(stages.student).toMatchObject({
    method: 'ammd',
    models: { student: { parameters: 1000, tokenizer_hash: 'a1' }, teacher: { parameters: 2000 } },
    data: { train: { rows: 10, content_hash: 'b2' }, check: { rows: 10 } },
  });
  expect(stages.student?.models.student).not.toHaveProperty('notes');
  expect(Object.keys(stages.student?.seeds ?? {})).toEqual([
    'student',
    'rollout:off',
    'rollout:on',
    'coin:on',
    'critic:on',
    'critic:off',
    'order:train',
  ]);
});

const BEGINS = { data: {}, goesOn: false };
const GOES_ON = { data: {}, goesOn: true };

test('a stage that goes on with other data is refused by the name of the dataset', () => {
  const begun = manifest();
  expect(admit(begun, stage, loaded, GOES_ON).notes).toEqual([]);
  const { train, ...others } = loaded.datasets;
  if (train === undefined) throw new Error('the demo run has data train');
  const changed = { ...loaded, datasets: { ...others, train: { ...train, content_hash: 'c3' } } };
  expect(() => admit(begun, stage, changed, GOES_ON)).toThrow(
    expect.objectContaining({
      code: 'config_changed',
      message: expect.stringMatching(/^dataset train is no/),
    }),
  );
  expect(admit(begun, stage, changed, BEGINS).manifest.stages.student?.data.train).toMatchObject({
    content_hash: 'c3',
  });
  admit({ ...begun, stages: {} }, stage, changed, GOES_ON); // not begun
});

const at = (revision?: string) => ({
  ...loaded,
  student: { ...loaded.student, ...(revision === undefined ? {} : { revision }) },
});

test('a model of the hub that has another commit now is told', () => {
  const begun = admit(manifest(), stage, at('a1b2'), BEGINS).manifest;
  expect(begun.stages.student?.models.student).toMatchObject({ revision: 'a1b2' });
  const notes = (before: typeof begun, revision?: string) =>
    admit(before, stage, at(revision), GOES_ON).notes;
  expect(notes(begun, 'a1b2')).toEqual([]);
  expect(notes(begun)).toEqual([]);
  expect(notes(manifest(), 'c3d4')).toEqual([]);
  expect(admit(begun, stage, at('c3d4'), BEGINS).notes).toEqual([]);
  expect(notes(begun, 'c3d4')).toEqual([
    'the student is at commit c3d4 of its hub repository, and was at a1b2 when the stage began; pin it with @a1b2 in another run',
  ]);
});

test('the commit that a stage began with stays when it goes on with another one', () => {
  const begun = admit(manifest(), stage, at('a1b2'), BEGINS).manifest;
  const resumed = admit(begun, stage, at('c3d4'), GOES_ON).manifest;
  expect(resumed.stages.student?.models.student).toMatchObject({
    revision: 'a1b2',
    resumed_revision: 'c3d4',
  });
  expect(admit(resumed, stage, at('e5f6'), GOES_ON).notes).toEqual([
    expect.stringContaining('was at a1b2 when the stage began'),
  ]);
  const anew = admit(resumed, stage, at('c3d4'), BEGINS).manifest;
  expect(anew.stages.student?.models.student).toMatchObject({ revision: 'c3d4' });
});

test('each resumption is noted, the rest is kept', async () => {
  const file = path.join(temporaryFolder(), 'manifest.json');
  const written = manifest();
  writeManifest(file, written);
  const again = readManifest(file, NOW);
  expect(again).toEqual({ ...written, resumed: [NOW.toISOString()] });
  writeManifest(file, again);
  expect(readManifest(file, NOW).resumed).toHaveLength(2);
  expect(readFileSync(file, 'utf8').endsWith('}\n')).toBe(true);
});

test.each([
  ['no JSON', '{'],
  ['no manifest', '{"format": 1}'],
])('%s is refused by name', (_, text) => {
  const file = path.join(temporaryFolder(), 'manifest.json');
  writeFileSync(file, text);
  expect(() => readManifest(file, NOW)).toThrow(
    expect.objectContaining({ code: 'manifest_invalid', message: expect.stringContaining(file) }),
  );
});
