import { beforeAll, describe, expect, test } from '@jest/globals';
import { readJournal } from '../../../../ts/metrics/journal.js';
import { stepRowSchema } from '../../../../ts/metrics/rows.js';
import type { OperationName } from '../../../../ts/wire/protocol.gen.js';
import { failWith } from '../scripted_client.js';
import { StageScene } from './stage_scene.js';

/** Responses a step old in most steps, after two steps of the critics alone. */
const AHEAD = [
  'training.steps=9',
  'method.adversary.warmup_steps=2',
  'method.sources.on={max_staleness: 1, probability: 0.8}',
  'evaluation={every: 4, measure: [cross_entropy]}',
  'checkpoints={every: 3, keep: 2}',
];

const stalenessOf = (scene: StageScene) =>
  readJournal(scene.folder.metrics, stepRowSchema).map(({ metrics }) => metrics['rollout/staleness'] ?? null);

/** The stage undisturbed; its folder goes with the test that made it. */
async function undisturbed() {
  const scene = new StageScene(...AHEAD);
  const client = scene.client();
  expect(await scene.go(client)).toBeUndefined();
  return { client, outcome: scene.outcome(), staleness: stalenessOf(scene) };
}

let whole: Awaited<ReturnType<typeof undisturbed>>;
beforeAll(async () => {
  whole = await undisturbed();
});

describe('a stage whose responses are drawn one step ahead', () => {
  test('learns from responses one step old, from the third on, and leaves none behind', () => {
    // The student rests in the first two, and null is a step of the dataset's own responses.
    expect(new Set([...whole.staleness.slice(0, 3), null])).toEqual(new Set([0, null]));
    expect(new Set([...whole.staleness.slice(3), null])).toEqual(new Set([1, null]));
    expect(whole.staleness).toContain(null);
    expect(whole.client.rollouts.size).toBe(0);
  });

  test.each<[OperationName, number]>([
    ['generate', 1],
    ['generate', 5],
    ['build', 4],
    ['drop', 3],
    ['step_student', 1],
    ['step_student', 6],
    ['stage_checkpoint', 3],
    ['commit_checkpoint', 2],
  ])('killed in %s %i and resumed ends with the same rows and weights', async (op, nth) => {
    const scene = new StageScene(...AHEAD);
    expect(await scene.go(scene.client().before(op, nth, failWith('internal')))).toBeInstanceOf(Error);
    const second = scene.client();
    expect(await scene.go(second)).toBeUndefined();
    expect(scene.outcome()).toEqual(whole.outcome);
    expect(second.rollouts.size).toBe(0);
  });

  test('resumed, it takes the rollout that the checkpoint has, and draws those that follow', async () => {
    const scene = new StageScene(...AHEAD);
    await scene.go(scene.client().before('build', 9, failWith('internal')));
    const second = scene.client();
    await scene.go(second);
    const drawn = second.argsOf('generate').map(({ out }) => out);
    const taken = second
      .argsOf('build')
      .flatMap(({ parts }) => parts.flatMap(({ rollout }) => rollout ?? []));
    // Six steps were in the checkpoint.
    expect(taken.filter((handle) => !drawn.includes(handle))).toEqual(['buffer/on.6']);
    expect(drawn).toEqual(taken.slice(1));
  });

  test('stopped by a signal it goes on from there', async () => {
    const scene = new StageScene(...AHEAD);
    const stop = new AbortController();
    const client = scene.client().before('step_student', 5, () => stop.abort());
    expect(await scene.go(client, { signal: stop.signal })).toMatchObject({ code: 'interrupted' });
    expect(await scene.go(scene.client())).toBeUndefined();
    expect(scene.outcome()).toEqual(whole.outcome);
  });
});
