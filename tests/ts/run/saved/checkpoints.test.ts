import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import {
  type ControllerState,
  checkpointOf,
  listCheckpoints,
  pruneCheckpoints,
  readCheckpoint,
  writeCheckpoint,
} from '../../../../ts/run/saved/checkpoints.js';
import { restoreNewest } from '../../../../ts/run/saved/restore.js';
import { INITIAL_STATE } from '../../../../ts/schedule/state.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';
import { failWith, ScriptedClient } from '../scripted_client.js';

const CONTROLLER: ControllerState = {
  schedule: INITIAL_STATE,
  best: { step: 2, value: 0.5 },
  offsets: { metrics: 10, evaluations: 20, samples: 30 },
};

let checkpoints = '';
let client = new ScriptedClient();
beforeEach(() => {
  checkpoints = path.join(temporaryFolder(), 'checkpoints');
  mkdirSync(checkpoints);
  client = new ScriptedClient();
});

/** Writes the checkpoint of a step whose student has that step's number as its version. */
async function write(step: number, configHash = 'abc'): Promise<string> {
  client.version = step;
  const about = { stage: 'ammd', step, configHash };
  const { folder, durable } = await writeCheckpoint(client, checkpoints, about, CONTROLLER);
  await durable;
  return folder;
}

const manifestOf = (folder: string) => path.join(folder, 'manifest.json');
const stepsOf = (folders: readonly string[]) => folders.map((folder) => Number(folder.slice(-8)));

describe('writing', () => {
  test('the worker has its copy first; the manifest comes last, after the worker says durable', async () => {
    let seen: readonly string[] = [];
    client.before('commit_checkpoint', 1, () => {
      seen = readdirSync(checkpointOf(checkpoints, 4));
    });
    client.version = 4;
    const about = { stage: 'ammd', step: 4, configHash: 'abc' };
    const { folder, durable } = await writeCheckpoint(client, checkpoints, about, CONTROLLER);
    expect(client.ops).toEqual(['stage_checkpoint', 'commit_checkpoint']);
    expect(existsSync(manifestOf(folder))).toBe(false);
    await durable;
    expect(seen).not.toContain('manifest.json');
    expect(readdirSync(folder).sort()).toEqual(['controller.json', 'manifest.json', 'weights.json']);
    expect(folder).toBe(path.join(checkpoints, 'step-00000004'));
  });

  test('what is read is what was written', async () => {
    const { manifest, controller } = readCheckpoint(await write(4));
    expect(manifest).toMatchObject({ format: 1, stage: 'ammd', step: 4, config_hash: 'abc' });
    expect(manifest.files).toEqual([expect.objectContaining({ name: 'weights.json' })]);
    expect(controller).toEqual(CONTROLLER);
  });

  test('a commit that fails leaves no manifest', async () => {
    client.before('commit_checkpoint', 1, failWith('checkpoint_error', 'disk full'));
    const about = { stage: 'ammd', step: 4, configHash: 'abc' };
    const { folder, durable } = await writeCheckpoint(client, checkpoints, about, CONTROLLER);
    await expect(durable).rejects.toThrow('disk full');
    expect(existsSync(manifestOf(folder))).toBe(false);
    expect(listCheckpoints(checkpoints)).toEqual([]);
  });

  test('what an interrupted attempt left in the folder goes first', async () => {
    const folder = checkpointOf(checkpoints, 4);
    mkdirSync(folder);
    writeFileSync(path.join(folder, 'old.safetensors'), '');
    await write(4);
    expect(readdirSync(folder)).not.toContain('old.safetensors');
  });
});

describe('listing and pruning', () => {
  test('newest first; a folder without manifest does not count, nor anything else', async () => {
    for (const step of [2, 10, 9]) await write(step);
    rmSync(manifestOf(await write(11)));
    writeFileSync(path.join(checkpoints, 'step-notes'), '');
    expect(stepsOf(listCheckpoints(checkpoints))).toEqual([10, 9, 2]);
    expect(listCheckpoints(path.join(checkpoints, 'none'))).toEqual([]);
  });

  test('the newest stay, and the best', async () => {
    for (const step of [1, 2, 3, 4, 5]) await write(step);
    pruneCheckpoints(checkpoints, { keep: 2, step: 5, best: { step: 2, value: 1 } });
    expect(readdirSync(checkpoints).sort()).toEqual(['step-00000002', 'step-00000004', 'step-00000005']);
    pruneCheckpoints(checkpoints, { keep: 1, step: 5, best: null });
    expect(readdirSync(checkpoints)).toEqual(['step-00000005']);
  });

  test('one of a course that was left takes no place, nor does half a one', async () => {
    for (const step of [30, 6, 7]) await write(step);
    rmSync(manifestOf(await write(5)));
    pruneCheckpoints(checkpoints, { keep: 1, step: 7, best: null });
    expect(readdirSync(checkpoints)).toEqual(['step-00000007']);
  });

  test('the step of a folder has more digits when it needs them', async () => {
    await write(123_456_789);
    await write(99);
    expect(listCheckpoints(checkpoints).map((folder) => path.basename(folder))).toEqual([
      'step-123456789',
      'step-00000099',
    ]);
  });
});

describe('reading', () => {
  test.each([
    ['no JSON', (folder: string) => writeFileSync(manifestOf(folder), '{')],
    ['another format', (folder: string) => writeFileSync(manifestOf(folder), '{"format": 2}')],
    ['no controller state', (folder: string) => rmSync(path.join(folder, 'controller.json'))],
    [
      'a changed controller state',
      (folder: string) => {
        const file = path.join(folder, 'controller.json');
        writeFileSync(file, readFileSync(file, 'utf8').replace('"metrics":10', '"metrics":11'));
      },
    ],
  ])('%s: no complete checkpoint', async (_, damage) => {
    const folder = await write(4);
    damage(folder);
    expect(() => readCheckpoint(folder)).toThrow(
      expect.objectContaining({ code: 'checkpoint_invalid', message: expect.stringContaining(folder) }),
    );
  });
});

describe('restoring', () => {
  const notes: string[] = [];
  beforeEach(() => {
    notes.length = 0;
  });
  const restored = (configHash = 'abc') =>
    restoreNewest(
      { client, configHash, emit: (event) => event.kind === 'note' && notes.push(event.message) },
      checkpoints,
    );

  test('the newest is put back', async () => {
    for (const step of [2, 4]) await write(step);
    client.version = 99;
    const found = await restored();
    expect(found).toMatchObject({ policyVersion: 4, checkpoint: { manifest: { step: 4 } } });
    expect(client.version).toBe(4);
    expect(notes).toEqual([]);
  });

  test('none is none', async () => {
    expect(await restored()).toBeNull();
    expect(client.requests).toEqual([]);
    expect(notes).toEqual([]);
  });

  test('weights with another hash are passed over for the one before, in a new epoch', async () => {
    for (const step of [2, 4]) await write(step);
    writeFileSync(path.join(checkpointOf(checkpoints, 4), 'weights.json'), '{"version": 5}');
    expect(await restored()).toMatchObject({ policyVersion: 2 });
    expect(client.epoch).toBe(1);
    expect(notes).toEqual([expect.stringMatching(/^passed over .*step-00000004.*another hash/)]);
  });

  test('a damaged controller state is passed over without asking the worker', async () => {
    for (const step of [2, 4]) await write(step);
    writeFileSync(path.join(checkpointOf(checkpoints, 4), 'controller.json'), '{}');
    expect(await restored()).toMatchObject({ policyVersion: 2 });
    expect(client.epoch).toBe(0);
  });

  test('when none can be used, that is said', async () => {
    await write(4);
    writeFileSync(path.join(checkpointOf(checkpoints, 4), 'controller.json'), '{}');
    expect(await restored()).toBeNull();
    expect(notes.at(-1)).toContain('the stage starts anew');
  });

  test('a checkpoint of another configuration is refused, not passed over', async () => {
    await write(4);
    await expect(restored('def')).rejects.toMatchObject({
      code: 'config_changed',
      message: expect.stringContaining('step-00000004'),
    });
    expect(client.argsOf('restore')).toEqual([]);
  });

  test('a worker that fails otherwise is no damage of the checkpoint', async () => {
    await write(4);
    client.before('restore', 1, failWith('out_of_memory'));
    await expect(restored()).rejects.toMatchObject({ code: 'out_of_memory' });
  });
});
