import { describe, expect, test } from '@jest/globals';
import { TimeOver } from '../../../../ts/run/ending/wall_time.js';
import type { OperationName } from '../../../../ts/wire/protocol.gen.js';
import { failWith } from '../scripted_client.js';
import { StageScene } from './stage_scene.js';

/** Everything happens in it: evaluations, a best one before the last, checkpoints between. */
const EVENTFUL = [
  'training.steps=7',
  'evaluation.every=2',
  'evaluation.initial=true',
  'evaluation.best={metric: exact_match, mode: max}',
  'checkpoints={every: 3, keep: 1}',
];

function eventful(scene: StageScene) {
  const client = scene.client();
  client.score = (version, _dataset, row) => -Math.abs(version - 4) + row / 100;
  return client;
}

async function undisturbed() {
  const scene = new StageScene(...EVENTFUL);
  expect(await scene.go(eventful(scene))).toBeUndefined();
  return scene.outcome();
}

describe('a worker that fails', () => {
  test.each<[OperationName, number]>([
    ['load_role', 2],
    ['evaluate', 1],
    ['generate', 2],
    ['step_critic', 5],
    ['step_student', 4],
    ['evaluate', 7],
    ['stage_checkpoint', 2],
    ['commit_checkpoint', 2],
    ['end_step', 7],
    ['restore', 1],
    ['evaluate', 10],
    ['export', 1],
  ])('in %s %i: the stage resumed ends with the same rows and weights', async (op, nth) => {
    const scene = new StageScene(...EVENTFUL);
    const error = await scene.go(eventful(scene).before(op, nth, failWith('internal')));
    expect(error).toBeInstanceOf(Error);
    const second = eventful(scene);
    expect(await scene.go(second)).toBeUndefined();
    expect(scene.outcome()).toEqual(await undisturbed());
  });

  test('several times, also in the resumed part', async () => {
    const scene = new StageScene(...EVENTFUL);
    for (const nth of [3, 2, 1, 1])
      await scene.go(eventful(scene).before('step_student', nth, failWith('internal')));
    expect(await scene.go(eventful(scene))).toBeUndefined();
    expect(scene.outcome()).toEqual(await undisturbed());
  });

  test('the stage says from where it goes on', async () => {
    const scene = new StageScene(...EVENTFUL);
    await scene.go(eventful(scene).before('step_student', 5, failWith('internal')));
    await scene.go(eventful(scene));
    const started = scene.events.flatMap((event) =>
      event.kind === 'stage_started' ? [event.resumed_from] : [],
    );
    expect(started).toEqual([null, 4]);
  });
});

describe('a signal', () => {
  /** Stops at a request, checks how the stage says so, and runs it to its end. */
  async function stopAt(op: OperationName, nth: number, message: RegExp) {
    const scene = new StageScene(...EVENTFUL);
    const stop = new AbortController();
    const client = eventful(scene).before(op, nth, () => stop.abort());
    const error = await scene.go(client, { signal: stop.signal });
    expect(error).toMatchObject({
      code: 'interrupted',
      message: expect.stringMatching(message),
      hint: `continue with: ammd resume ${scene.run.path}`,
    });
    const left = { checkpoints: scene.checkpoints, ops: client.ops };
    expect(await scene.go(eventful(scene))).toBeUndefined();
    expect(scene.outcome()).toEqual(await undisturbed());
    return left;
  }

  test('while steps run: a checkpoint after them', async () => {
    const { checkpoints, ops } = await stopAt(
      'step_student',
      5,
      /stopped in stage student, after step 6 of 7/,
    );
    expect(checkpoints.at(-1)).toBe(6);
    expect(ops.at(-1)).toBe('commit_checkpoint');
  });

  test('because the time is over: the same, and said so', async () => {
    const scene = new StageScene(...EVENTFUL);
    const stop = new AbortController();
    const client = eventful(scene).before('step_student', 5, () => stop.abort(new TimeOver(1.5)));
    expect(await scene.go(client, { signal: stop.signal })).toMatchObject({
      code: 'time_over',
      message: 'stopped after 1.5 h in stage student, after step 6 of 7',
      hint: `continue with: ammd resume ${scene.run.path}`,
    });
    expect(scene.checkpoints.at(-1)).toBe(6);
    expect(await scene.go(eventful(scene))).toBeUndefined();
    expect(scene.outcome()).toEqual(await undisturbed());
  });

  test('between checkpoints: one is written where the steps end', async () => {
    const plain = ['training.steps=9', 'checkpoints.every=0'];
    const scene = new StageScene(...plain);
    const stop = new AbortController();
    const client = scene.client().before('step_student', 3, () => stop.abort());
    expect(await scene.go(client, { signal: stop.signal })).toMatchObject({ code: 'interrupted' });
    expect(scene.checkpoints).toEqual([scene.steps.length]);
    expect(scene.steps.length).toBeLessThan(6);
    expect(await scene.go()).toBeUndefined();
    const whole = new StageScene(...plain);
    await whole.go();
    expect(scene.outcome()).toEqual(whole.outcome());
    expect(scene.events.findLast(({ kind }) => kind === 'stage_started')).not.toMatchObject({
      resumed_from: null,
    });
  });

  test('while data are loaded: at once, and no step is run', async () => {
    const { ops } = await stopAt('register_data', 1, /while its data were loaded/);
    expect(ops).not.toContain('build');
  });

  test('while critics are loaded: no step is run', async () => {
    const { ops } = await stopAt('load_critic', 1, /while it was evaluated|after step 0/);
    expect(ops).not.toContain('build');
  });

  test('in the evaluation before the first step: at once', async () => {
    const { ops } = await stopAt('evaluate', 1, /while it was evaluated/);
    expect(ops).not.toContain('build');
  });

  test('in an evaluation during training: after it, with a checkpoint', async () => {
    const { checkpoints } = await stopAt('evaluate', 5, /after step 3 of 7/);
    expect(checkpoints.at(-1)).toBe(3);
  });

  test('in the final evaluation: at once, what was trained is in a checkpoint', async () => {
    const { ops, checkpoints } = await stopAt('evaluate', 9, /while it was evaluated/);
    expect(ops).not.toContain('export');
    expect(checkpoints).toContain(7);
  });

  test('a worker that fails while stopping fails all the same', async () => {
    const scene = new StageScene();
    const stop = new AbortController();
    const client = scene.client().before('step_student', 2, () => {
      stop.abort();
      failWith('out_of_memory')();
    });
    expect(await scene.go(client, { signal: stop.signal })).toMatchObject({ code: 'out_of_memory' });
  });
});
