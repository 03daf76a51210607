import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { checkpointOf } from '../../../../ts/run/saved/checkpoints.js';
import type { StageContext } from '../../../../ts/run/stage/stage.js';
import { failWith } from '../scripted_client.js';
import { StageScene } from './stage_scene.js';

const doneOf = (scene: StageScene): unknown => JSON.parse(readFileSync(scene.folder.done, 'utf8'));
const exportedOf = (scene: StageScene): unknown =>
  JSON.parse(readFileSync(path.join(scene.folder.student, 'config.json'), 'utf8'));

describe('a stage from loading to its exported student', () => {
  test('loads in order, trains, evaluates, exports, and says so', async () => {
    const scene = new StageScene();
    const client = scene.client();
    expect(await scene.go(client)).toBeUndefined();
    expect(client.ops.slice(0, 8)).toEqual([
      'reset',
      'load_role',
      'load_role',
      'register_data',
      'register_data',
      'register_data',
      'load_critic',
      'load_critic',
    ]);
    expect(client.argsOf('load_role').map(({ role }) => role)).toEqual(['teacher', 'student']);
    expect(client.argsOf('load_role')[0]?.model.source).toBe(scene.run.stage('teacher').student);
    expect(client.ops.slice(-3)).toEqual(['evaluate', 'evaluate', 'export']);
    expect(scene.steps).toEqual([1, 2, 3, 4, 5, 6]);
    expect(doneOf(scene)).toMatchObject({ stage: 'student', step: 6 });
    expect(exportedOf(scene)).toEqual({ version: 6 });

    const kinds = scene.events.map(({ kind }) => kind);
    const order = ['phase', 'note', 'stage_started', 'step', 'checkpoint', 'evaluation', 'stage_finished'];
    expect([...new Set(kinds)].filter((kind) => order.includes(kind))).toEqual(order);
    expect(kinds.at(-1)).toBe('stage_finished');
    expect(scene.events.find(({ kind }) => kind === 'stage_started')).toMatchObject({
      steps: 6,
      resumed_from: null,
      parameters: { student: 1000, teacher: 2000, 'critic:on': 300, 'critic:off': 300 },
    });
  });

  test('memory that cannot suffice is told before anything else, and the run goes on', async () => {
    const scene = new StageScene('training.steps=1');
    const client = scene.client();
    client.memory = { ...client.memory, peak_bytes: 5 * 2 ** 30 };
    expect(await scene.go(client)).toBeUndefined();
    expect(scene.notes[0]).toMatch(/^stage student: needs more than 5.00 GiB/);
    expect(scene.steps).toEqual([1]);
  });

  test('the run folder hears of what was loaded before the first step', async () => {
    const scene = new StageScene();
    const client = scene.client();
    const loaded = jest.fn<StageContext['onLoaded']>(() => expect(client.ops).not.toContain('build'));
    expect(await scene.go(client, { onLoaded: loaded })).toBeUndefined();
    expect(loaded).toHaveBeenCalledTimes(1);
    expect(loaded).toHaveBeenCalledWith(
      expect.objectContaining({
        critics: { on: 300, off: 300 },
        datasets: expect.objectContaining({ train: expect.anything() }),
      }),
    );
  });

  test('what the worker notes of models is passed on, once where it holds for both and for later stages', async () => {
    const told = new Set<string>();
    const notes = async () => {
      const scene = new StageScene('training.steps=1');
      await scene.go(scene.client(), { told });
      return scene.notes;
    };
    expect(await notes()).toEqual(['stage student: a fallback']);
    expect(await notes()).toEqual([]);
  });

  test('what the worker notes of data is passed on, once where it holds for several sets', async () => {
    const scene = new StageScene('training.steps=1');
    const client = scene.client();
    client.lost = { notes: ['the teacher ends otherwise'] };
    await scene.go(client);
    expect(scene.notes).toEqual(['stage student: a fallback', 'stage student: the teacher ends otherwise']);
  });

  test('rows that the data lost on their way are counted', async () => {
    const scene = new StageScene('training.steps=1');
    const client = scene.client();
    client.lost = { bad_lines: 3, cut_prompts: 2, cut_responses: 1, dropped_prompts: 4, unanswered: 0 };
    await scene.go(client);
    expect(scene.notes.filter((note) => note.includes('dataset train'))).toEqual([
      'stage student: dataset train: 3 bad lines skipped',
      'stage student: dataset train: 2 prompts and 1 responses cut to the limit',
      'stage student: dataset train: 4 rows left out, their prompts over the limit',
    ]);
  });
});

describe('memory that ran out', () => {
  test('is noted when micro-batches first are halved, and when they are again', async () => {
    const scene = new StageScene();
    const client = scene.client();
    const halvings = [0, 1, 1, 2, 2, 2];
    client.metrics = (step) => (halvings[step] ? { micro_batch_halvings: halvings[step] } : {});
    expect(await scene.go(client)).toBeUndefined();
    expect(scene.notes.slice(1)).toEqual([
      expect.stringMatching(/^stage student, step 2: memory ran out.*training.micro_batch: 4$/),
      expect.stringMatching(/^stage student, step 4: memory ran out.*training.micro_batch: 2$/),
    ]);
  });

  test('is noted when responses are drawn for fewer rows at a time', async () => {
    const scene = new StageScene();
    const client = scene.client();
    client.metrics = (step) => (step > 2 ? { rollout_rows: 16 } : {});
    expect(await scene.go(client)).toBeUndefined();
    expect(scene.notes.slice(1)).toEqual([
      expect.stringMatching(/^stage student, step 4: memory ran out.*worker.rollout_rows: 16$/),
    ]);
  });
});

describe('updates that were skipped', () => {
  const skipping = (scene: StageScene) => {
    const client = scene.client();
    client.metrics = (step) => ({ skipped: step < 4 ? 1 : 0 });
    return client;
  };
  const NOTE =
    'stage student: 4 of 6 updates were skipped, since the gradient was not finite; lower training.lr';

  test('are told at the end of the stage', async () => {
    const scene = new StageScene();
    expect(await scene.go(skipping(scene))).toBeUndefined();
    expect(scene.notes.slice(1)).toEqual([NOTE]);
  });

  test('are counted over the whole stage where it was resumed', async () => {
    const scene = new StageScene('checkpoints.every=2');
    await scene.go(skipping(scene).before('step_student', 4, failWith('internal')));
    expect(scene.notes).not.toContain(NOTE);
    expect(await scene.go(skipping(scene))).toBeUndefined();
    expect(scene.notes.at(-1)).toBe(NOTE);
  });
});

describe('checkpoints', () => {
  test('at their interval and at the end, the newest kept', async () => {
    const scene = new StageScene('checkpoints={every: 2, keep: 2}');
    const client = scene.client();
    await scene.go(client);
    expect(client.argsOf('stage_checkpoint').map(({ checkpoint }) => checkpoint)).toEqual([
      'student-2',
      'student-4',
      'student-6',
    ]);
    expect(scene.checkpoints).toEqual([4, 6]);
    const written = scene.events.flatMap((event) => (event.kind === 'checkpoint' ? [event.step] : []));
    expect(written).toEqual([2, 4, 6]);
  });

  test('a checkpoint that cannot be written ends the stage, at the next one at the latest', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const scene = new StageScene('checkpoints.every=2');
    const client = scene.client().before('commit_checkpoint', 1, failWith('checkpoint_error', 'disk full'));
    const error = await scene.go(client);
    process.off('unhandledRejection', unhandled);
    expect(error).toMatchObject({ code: expect.stringMatching(/checkpoint_error|aborted/) });
    expect(scene.steps.length).toBeLessThan(6);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

describe('the best student', () => {
  /** Validation scores by version; test sets say the version, so that rows tell which student was evaluated. */
  const scored = (scene: StageScene, byVersion: readonly number[]) => {
    const client = scene.client();
    client.score = (version, dataset) => (dataset === 'check' ? (byVersion[version] ?? 0) : version);
    return client;
  };
  const BEST = ['evaluation.every=1', 'checkpoints={every: 3, keep: 1}'];

  test.each([
    ['max', [0, 1, 5, 9, 2, 9, 1], 3],
    ['min', [0, 6, 5, 4, 3, 2, 3], 5],
  ])('by the %s of a metric is restored, evaluated and exported', async (mode, scores, best) => {
    const scene = new StageScene(...BEST, `evaluation.best={metric: exact_match, mode: ${mode}}`);
    const client = scored(scene, scores);
    expect(await scene.go(client)).toBeUndefined();
    expect(client.argsOf('restore')).toHaveLength(1);
    expect(exportedOf(scene)).toEqual({ version: best });
    expect(doneOf(scene)).toMatchObject({ step: best });
    const final = scene.evaluations.filter((row) => row.final && row.dataset === 'extra');
    expect(final.map(({ step, mean }) => [step, mean])).toEqual(final.map(() => [best, best]));
    expect(scene.checkpoints).toEqual([best, 6]);
  });

  test('that is the last needs no restoring', async () => {
    const scene = new StageScene(...BEST, 'evaluation.best={metric: exact_match}');
    const client = scored(scene, [0, 1, 2, 3, 4, 5, 6]);
    await scene.go(client);
    expect(client.argsOf('restore')).toHaveLength(0);
    expect(exportedOf(scene)).toEqual({ version: 6 });
  });

  test.each(['changed', 'gone'])('whose checkpoint is %s is told, and the last is exported', async (how) => {
    const scene = new StageScene(...BEST, 'evaluation.best={metric: exact_match}');
    const client = scored(scene, [0, 9, 1, 1, 1, 1, 1]);
    await scene.go(client.before('commit_checkpoint', 3, failWith('internal')));
    const best = checkpointOf(scene.folder.checkpoints, 1);
    if (how === 'gone') rmSync(best, { recursive: true });
    else writeFileSync(path.join(best, 'controller.json'), '{}');
    expect(await scene.go(scored(scene, [0, 9, 1, 1, 1, 1, 1]))).toBeUndefined();
    expect(exportedOf(scene)).toEqual({ version: 6 });
    expect(doneOf(scene)).toMatchObject({ step: 6 });
    expect(scene.notes.at(-1)).toMatch(/^stage student: the student of the last step, 6, .* best, of 1: /);
  });

  test('may be chosen by a measured figure', async () => {
    const scene = new StageScene(
      ...BEST,
      'evaluation.measure=[forward_kl]',
      'evaluation.best={metric: forward_kl}',
    );
    await scene.go(scored(scene, [9, 8, 7, 1, 2, 3, 4])); // the least is best
    expect(exportedOf(scene)).toEqual({ version: 3 });
  });

  test('without a choice the last is exported', async () => {
    const scene = new StageScene(...BEST);
    await scene.go(scored(scene, [0, 9, 1, 1, 1, 1, 1]));
    expect(exportedOf(scene)).toEqual({ version: 6 });
  });
});

test('a checkpoint of another configuration is refused', async () => {
  const scene = new StageScene('checkpoints.every=2');
  await scene.go(scene.client().before('step_student', 4, failWith('internal')));
  expect(await scene.go(scene.client(), { configHash: 'another' })).toMatchObject({ code: 'config_changed' });
  expect(scene.steps.length).toBeGreaterThanOrEqual(2);
});
