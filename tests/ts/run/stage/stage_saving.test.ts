import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { checkpointOf } from '../../../../ts/run/saved/checkpoints.js';
import { failWith } from '../scripted_client.js';
import { StageScene } from './stage_scene.js';

const PLAIN = ['training.steps=9', 'checkpoints.every=0', 'evaluation.every=0'];

/** A clock that goes on by ten minutes whenever it is looked at. */
function slowClock(): () => number {
  let minutes = 0;
  return () => {
    minutes += 10;
    return minutes * 60_000;
  };
}

test('a stage that no step number saves is saved by the clock, and goes on from there after a kill', async () => {
  const scene = new StageScene(...PLAIN);
  const killed = scene.client().before('step_student', 9, failWith('internal'));
  expect(await scene.go(killed, { now: slowClock() })).toMatchObject({ code: 'internal' });
  const [first = 0] = scene.checkpoints;
  expect(first).toBeGreaterThan(0);
  expect(await scene.go()).toBeUndefined();
  expect(scene.steps).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(scene.events.findLast(({ kind }) => kind === 'stage_started')).not.toMatchObject({
    resumed_from: null,
  });
  expect(scene.notes.join()).not.toContain('begins anew');
});

test('one that was ended before its first checkpoint says that it begins anew', async () => {
  const scene = new StageScene(...PLAIN);
  await scene.go(scene.client().before('step_student', 5, failWith('internal')));
  expect(scene.steps.length).toBeGreaterThan(0);
  expect(scene.notes.join()).not.toContain('begins anew');
  expect(await scene.go()).toBeUndefined();
  expect(scene.notes).toContain('stage student begins anew: it was ended before its first checkpoint');
  expect(scene.steps).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('one whose checkpoints are all damaged says that, and not that there were none', async () => {
  const scene = new StageScene('training.steps=9', 'checkpoints.every=3');
  await scene.go(scene.client().before('step_student', 8, failWith('internal')));
  for (const step of scene.checkpoints)
    writeFileSync(path.join(checkpointOf(scene.folder.checkpoints, step), 'controller.json'), '{');
  expect(await scene.go()).toBeUndefined();
  expect(scene.notes.join()).toContain('can be used; the stage starts anew');
  expect(scene.notes.join()).not.toContain('ended before its first checkpoint');
});
