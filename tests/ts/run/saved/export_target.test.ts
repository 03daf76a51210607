import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { configToYaml } from '../../../../ts/config/resolve.js';
import { RunFolder } from '../../../../ts/run/folder/run_folder.js';
import { writeCheckpoint } from '../../../../ts/run/saved/checkpoints.js';
import { exportCheckpoint } from '../../../../ts/run/saved/export_student.js';
import { type ExportForm, findExport as find } from '../../../../ts/run/saved/export_target.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';
import { resolveRun } from '../../config/workspace.js';
import { ScriptedClient } from '../scripted_client.js';

const LORA = 'stages.student.training.lora={rank: 4}';

let run = new RunFolder('.');
let client = new ScriptedClient();
const notes: string[] = [];
const findExport = (target: string, stage: string | undefined, form: ExportForm) =>
  find(target, stage, form, (note) => notes.push(note));
beforeEach(() => {
  notes.length = 0;
  run = new RunFolder(temporaryFolder());
  client = new ScriptedClient();
});

/** The demo run in the folder, before its first stage. */
function begin(...overrides: readonly string[]) {
  const resolved = resolveRun(...overrides);
  writeFileSync(run.config, configToYaml(resolved.config));
  writeFileSync(run.configHash, `${resolved.hash}\n`);
  return resolved;
}

function finish(stage: string, step: number): void {
  writeFileSync(run.stage(stage).make().done, JSON.stringify({ stage, step, files: [] }));
  mkdirSync(run.stage(stage).student);
}

/** A checkpoint of a stage; `best` is what the controller knew then. */
async function checkpoint(stage: string, step: number, best: number | null, configHash: string) {
  client.version = step;
  const { folder, durable } = await writeCheckpoint(
    client,
    run.stage(stage).make().checkpoints,
    { stage, step, configHash },
    {
      schedule: {},
      best: best === null ? null : { step: best, value: 1 },
      offsets: { metrics: 0, evaluations: 0, samples: 0 },
    },
  );
  await durable;
  return folder;
}

const damage = (folder: string) => writeFileSync(path.join(folder, 'controller.json'), '{}');

describe('a run folder', () => {
  test('stands for the student of its last finished stage', () => {
    begin();
    finish('teacher', 20);
    expect(findExport(run.path, undefined, 'merged')).toMatchObject({
      stage: { name: 'teacher' },
      step: 20,
      checkpoint: null,
    });
    finish('student', 15);
    expect(findExport(run.path, undefined, 'merged')).toMatchObject({ stage: { name: 'student' }, step: 15 });
    expect(findExport(run.path, 'teacher', 'merged').stage.name).toBe('teacher');
  });

  test('or the best checkpoint of a stage that is not finished, or its last', async () => {
    const { hash } = begin();
    finish('teacher', 20);
    await checkpoint('student', 5, null, hash);
    expect(findExport(run.path, 'student', 'merged').step).toBe(5);
    await checkpoint('student', 10, 5, hash);
    const best = findExport(run.path, 'student', 'merged');
    expect(best).toMatchObject({ step: 5, checkpoint: { manifest: { step: 5 } } });
    rmSync(run.stage('student').checkpoints, { recursive: true });
    await checkpoint('student', 10, 5, hash);
    expect(findExport(run.path, 'student', 'merged').step).toBe(10);
  });

  test('passes over damaged checkpoints, and reads none that it does not need', async () => {
    const { hash } = begin();
    finish('teacher', 20);
    const [oldest, best, newest] = [
      await checkpoint('student', 5, null, hash),
      await checkpoint('student', 10, null, hash),
      await checkpoint('student', 15, 10, hash),
    ];
    const found = () => findExport(run.path, 'student', 'merged').step;
    damage(oldest);
    expect(found()).toBe(10);
    expect(notes).toEqual([]);
    damage(best);
    expect(found()).toBe(15);
    expect(notes).toEqual([expect.stringMatching(/^passed over .*step-00000010/)]);
    damage(newest);
    expect(found).toThrow(/has neither student nor whole checkpoint/);
  });

  test('takes the newest where the best was cut off while it was deleted', async () => {
    const { hash } = begin();
    const best = await checkpoint('student', 5, null, hash);
    await checkpoint('student', 10, 5, hash);
    rmSync(path.join(best, 'manifest.json'));
    expect(findExport(run.path, 'student', 'merged').step).toBe(10);
  });

  test('with checkpoints alone stands for them', async () => {
    const { hash } = begin();
    await checkpoint('teacher', 5, null, hash);
    expect(findExport(run.path, undefined, 'merged')).toMatchObject({ stage: { name: 'teacher' }, step: 5 });
  });

  test('has adapters in the checkpoint that the finished student is from', async () => {
    const { hash } = begin(LORA);
    finish('student', 5);
    for (const step of [5, 10]) await checkpoint('student', step, 5, hash);
    expect(findExport(run.path, undefined, 'adapter').checkpoint?.manifest.step).toBe(5);
    expect(findExport(run.path, undefined, 'merged').checkpoint).toBeNull();
  });

  test.each<[string, string | undefined, 'merged' | 'adapter', object]>([
    [
      'no stage of that name',
      'other',
      'merged',
      { code: 'model_not_found', hint: 'its stages: teacher, student' },
    ],
    [
      'a stage not begun',
      'student',
      'merged',
      { message: expect.stringContaining('neither student nor whole check') },
    ],
    ['no adapters', 'teacher', 'adapter', { message: 'stage teacher trains all weights, not adapters' }],
    ['a broken record', 'teacher', 'merged', { code: 'manifest_invalid' }],
  ])('is refused: %s', async (what, stage, form, error) => {
    const { hash } = begin();
    finish('teacher', 20);
    await checkpoint('teacher', 20, null, hash);
    if (what === 'a broken record') writeFileSync(run.stage('teacher').done, '{');
    expect(() => findExport(run.path, stage, form)).toThrow(expect.objectContaining(error));
  });

  test('is refused with nothing in it', () => {
    begin();
    expect(() => findExport(run.path, undefined, 'merged')).toThrow(
      /no stage of .* has a student or a check/,
    );
    expect(() => findExport(temporaryFolder(), undefined, 'merged')).toThrow(/holds no run/);
  });
});

describe('a checkpoint', () => {
  test('stands for itself', async () => {
    const { hash } = begin();
    finish('student', 10);
    const folder = await checkpoint('student', 5, null, hash);
    const found = findExport(path.relative(process.cwd(), folder), undefined, 'merged');
    expect(found).toMatchObject({ run: { path: run.path }, stage: { name: 'student' }, step: 5 });
    expect(found.checkpoint?.manifest.step).toBe(5);
    expect(findExport(`${folder}/`, 'student', 'merged').step).toBe(5);
    expect(() => findExport(folder, 'teacher', 'merged')).toThrow(
      /is a checkpoint of stage student, not of t/,
    );
  });

  test('of another configuration is refused', async () => {
    begin();
    const folder = await checkpoint('student', 5, null, 'another');
    const refused = expect.objectContaining({ code: 'config_changed' });
    expect(() => findExport(folder, undefined, 'merged')).toThrow(refused);
    expect(() => findExport(run.path, 'student', 'merged')).toThrow(refused);
  });

  test('that was cut off is refused', async () => {
    const { hash } = begin();
    const folder = await checkpoint('student', 5, null, hash);
    rmSync(path.join(folder, 'controller.json'));
    expect(() => findExport(folder, undefined, 'merged')).toThrow(
      expect.objectContaining({
        code: 'checkpoint_invalid',
        hint: expect.stringMatching(/another checkpoint$/),
      }),
    );
  });
});

describe('exporting a checkpoint', () => {
  async function exported(form: 'merged' | 'adapter', ...overrides: readonly string[]) {
    const { hash } = begin(...overrides);
    for (const step of [5, 10]) await checkpoint('student', step, null, hash);
    const target = findExport(path.join(run.stage('student').checkpoints, 'step-00000005'), undefined, form);
    client = new ScriptedClient();
    const out = path.join(run.path, 'out');
    if (target.checkpoint !== null) await exportCheckpoint(client, target, target.checkpoint, out, form);
    return { out, seed: target.stage.adapterSeeds.weights };
  }

  test('loads the student alone, untrained, restores it and writes it', async () => {
    const attention = 'models.tiny.attention=eager';
    const { out, seed } = await exported('adapter', LORA, attention, 'models.tiny.compute_dtype=bfloat16');
    expect(client.ops).toEqual(['load_role', 'restore', 'export']);
    const [student] = client.argsOf('load_role');
    expect(student).toMatchObject({ role: 'student', lora: { rank: 4, seed }, model: { dtype: 'float32' } });
    for (const name of ['optimizer']) expect(student).not.toHaveProperty(name);
    for (const name of ['attention', 'compute_dtype']) expect(student?.model).not.toHaveProperty(name);
    expect(client.version).toBe(5);
    expect(client.argsOf('export')).toEqual([{ role: 'student', dir: out, form: 'adapter' }]);
  });

  test('loads no adapters where the stage trained none', async () => {
    await exported('merged', 'stages.student.student={source: folder, init: layers, layers: [0]}');
    expect(client.argsOf('load_role')).toHaveLength(1);
    expect(client.argsOf('load_role')[0]).not.toHaveProperty('lora');
  });
});
