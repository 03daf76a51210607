import { beforeAll, describe, expect, test } from '@jest/globals';
import { readJournal } from '../../../../ts/metrics/journal.js';
import { stepRowSchema } from '../../../../ts/metrics/rows.js';
import type { OperationName } from '../../../../ts/wire/protocol.gen.js';
import { failWith, type ScriptedClient } from '../scripted_client.js';
import { StageScene } from './stage_scene.js';

/** A buffer of three rollouts, a chance that moves with evaluations, and checkpoints between them. */
const CHANGING = [
  'training.steps=24',
  'method.sources.on={max_staleness: 9, replay: {capacity: 12, fresh: 0.3}}',
  'method.sources.on.probability={kind: adaptive, from: 0.4, to: 1, increment: 0.3, metric: cross_entropy}',
  'evaluation={every: 4, measure: [cross_entropy]}',
  'checkpoints={every: 5, keep: 2}',
];

/** The validation loss rises from version 6 on, so that the chance moves after steps 12 and 16, and then stays. */
function changing(scene: StageScene): ScriptedClient {
  const client = scene.client();
  client.score = (version, _dataset, row) => Math.abs(version - 6) / 10 + row / 100;
  return client;
}

const originsOf = (scene: StageScene) =>
  readJournal(scene.folder.metrics, stepRowSchema).map(({ metrics }) =>
    metrics['rollout/fresh'] ? 'fresh' : metrics['rollout/replayed'] ? 'replayed' : 'dataset',
  );

/** The stage undisturbed; its folder goes with the test that made it. */
async function undisturbed() {
  const scene = new StageScene(...CHANGING);
  const client = changing(scene);
  expect(await scene.go(client)).toBeUndefined();
  return { client, outcome: scene.outcome(), origins: originsOf(scene) };
}

let whole: Awaited<ReturnType<typeof undisturbed>>;
beforeAll(async () => {
  whole = await undisturbed();
});

describe('a stage with a buffer and an adaptive chance', () => {
  test('draws, replays and falls back, and leaves nothing in the worker', () => {
    const { client, origins } = whole;
    expect(new Set(origins)).toEqual(new Set(['fresh', 'replayed', 'dataset']));
    expect(client.rollouts.size).toBe(0);
    expect(origins.slice(0, 12)).toContain('dataset');
    expect(origins.slice(16)).not.toContain('dataset');
  });

  test.each<[OperationName, number]>([
    ['generate', 3],
    ['build', 7],
    ['drop', 2],
    ['measure', 4],
    ['step_student', 13],
    ['step_student', 18],
    ['commit_checkpoint', 3],
    ['stage_checkpoint', 4],
  ])('killed in %s %i and resumed ends with the same rows and weights', async (op, nth) => {
    const scene = new StageScene(...CHANGING);
    expect(await scene.go(changing(scene).before(op, nth, failWith('internal')))).toBeInstanceOf(Error);
    const second = changing(scene);
    expect(await scene.go(second)).toBeUndefined();
    expect(scene.outcome()).toEqual(whole.outcome);
    expect(second.rollouts.size).toBe(0);
  });

  test('resumed, it learns from rollouts that the killed worker drew', async () => {
    const scene = new StageScene(...CHANGING);
    await scene.go(changing(scene).before('step_student', 12, failWith('internal')));
    const second = changing(scene);
    await scene.go(second);
    const drawn = new Set(second.argsOf('generate').map(({ out }) => out));
    const taken = second
      .argsOf('build')
      .flatMap(({ parts }) => parts.flatMap(({ rollout }) => (rollout === undefined ? [] : [rollout])));
    expect(taken.some((handle) => !drawn.has(handle))).toBe(true);
    const builds = second.argsOf('build');
    expect(builds).toEqual(whole.client.argsOf('build').slice(-builds.length));
    expect(builds.length).toBeLessThan(24);
  });

  test('a checkpoint written with an evaluation holds what the evaluation moved', async () => {
    const together = [...CHANGING, 'checkpoints={every: 4, keep: 2}'];
    const scene = new StageScene(...together);
    await scene.go(changing(scene).before('step_student', 18, failWith('internal')));
    expect(Math.max(...scene.checkpoints)).toBe(16); // when the chance moved for the second time
    expect(await scene.go(changing(scene))).toBeUndefined();
    expect(scene.outcome()).toEqual(whole.outcome);
  });

  test('stopped by a signal it goes on from there', async () => {
    const scene = new StageScene(...CHANGING);
    const stop = new AbortController();
    const client = changing(scene).before('step_student', 14, () => stop.abort());
    expect(await scene.go(client, { signal: stop.signal })).toMatchObject({ code: 'interrupted' });
    expect(await scene.go(changing(scene))).toBeUndefined();
    expect(scene.outcome()).toEqual(whole.outcome);
  });
});
