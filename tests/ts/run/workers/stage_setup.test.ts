import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { planRun } from '../../../../ts/plan/run.js';
import { preflight } from '../../../../ts/run/checks/preflight.js';
import { RunFolder } from '../../../../ts/run/folder/run_folder.js';
import { HeldTeacher } from '../../../../ts/run/loaded/held_teacher.js';
import { configureWorker, loadStage } from '../../../../ts/run/workers/stage_setup.js';
import { resolveRun } from '../../config/workspace.js';
import { failWith, ScriptedClient } from '../scripted_client.js';

const RUN = new RunFolder('/somewhere/run');

function planned(...overrides: readonly string[]) {
  const resolved = resolveRun(...overrides);
  return { config: resolved.config, plan: planRun(resolved) };
}

async function load(stage: number, ...overrides: readonly string[]) {
  const { config, plan } = planned(...overrides);
  const client = new ScriptedClient();
  const chosen = plan.stages[stage];
  if (chosen === undefined) throw new Error(`no stage ${stage}`);
  const loaded = await loadStage(client, chosen, config, RUN);
  return { client, loaded, plan };
}

describe('the worker’s settings', () => {
  test('the cache is in the working directory unless the config says otherwise', async () => {
    const client = new ScriptedClient();
    const { worker } = resolveRun().config;
    await configureWorker(client, worker);
    await configureWorker(client, { ...worker, cache_dir: '/cache', threads: 3 });
    const [first, second] = client.argsOf('configure');
    expect(first?.cache_dir).toBe(path.resolve('.ammd/cache'));
    expect(second).toMatchObject({ cache_dir: '/cache', threads: 3, device: 'auto' });
    expect(second).not.toHaveProperty('transport');
    expect(second).not.toHaveProperty('offload_teacher');
  });
});

describe('loading a stage', () => {
  test('a stage without teacher and critics', async () => {
    const { client, loaded } = await load(0);
    expect(client.ops).toEqual(['reset', 'load_role', 'register_data', 'register_data']);
    expect(loaded).toMatchObject({ teacher: null, critics: {}, student: { parameters: 1000 } });
    expect(Object.keys(loaded.datasets)).toEqual(['train', 'check']);
    expect(client.argsOf('register_data')[0]).toMatchObject({
      dataset: 'train',
      source: { source: 'builtin:microtasks', limit: 100 },
    });
    expect(client.argsOf('register_data')[1]?.source).not.toHaveProperty('limit');
  });

  test('a teacher is offloaded where the worker is told to, and nobody else', async () => {
    const offloads = async (...overrides: readonly string[]) =>
      (await load(1, ...overrides)).client.argsOf('load_role').map(({ offload }) => offload);
    expect(await offloads()).toEqual([undefined, undefined]);
    expect(await offloads('worker.offload_teacher=true')).toEqual([true, undefined]);
  });

  test('a teacher that is loaded is kept, by any stage and run that has the same one', async () => {
    const client = new ScriptedClient();
    const held = new HeldTeacher();
    const { config, plan } = planned();
    const [sft, ammd] = plan.stages;
    if (sft === undefined || ammd === undefined) throw new Error('two stages');
    const first = await loadStage(client, ammd, config, RUN, held);
    const again = await loadStage(client, ammd, config, RUN, held);
    expect(again.teacher).toEqual(first.teacher);
    await loadStage(client, ammd, config, new RunFolder('/elsewhere'), held);
    await loadStage(client, sft, config, RUN, held);
    await loadStage(client, ammd, config, RUN, held);
    const keeps = client.argsOf('reset').map(({ keep_teacher }) => keep_teacher ?? false);
    expect(keeps).toEqual([false, true, false, false, false]);
    expect(client.argsOf('load_role').filter(({ role }) => role === 'teacher')).toHaveLength(3);
  });

  test('a teacher whose loading failed is not taken for loaded', async () => {
    const held = new HeldTeacher();
    const { config, plan } = planned();
    const stage = plan.stages[1];
    if (stage === undefined) throw new Error('two stages');
    const client = new ScriptedClient();
    await loadStage(client, stage, config, RUN, held);
    client.before('load_role', 3, failWith('model_error'));
    await expect(loadStage(client, stage, config, new RunFolder('/elsewhere'), held)).rejects.toThrow();
    client.openEpoch();
    await loadStage(client, stage, config, RUN, held);
    expect(client.argsOf('reset').at(-1)).toEqual({});
  });

  test('an engine is asked for where the config names one, for roles that draw responses', async () => {
    const engines = async (...overrides: readonly string[]) =>
      (await load(1, ...overrides)).client.argsOf('load_role').map(({ engine }) => engine);
    const named = 'stages.student.rollout.engine=forward';
    expect(await engines()).toEqual([undefined, undefined]);
    expect(await engines(named)).toEqual([undefined, 'forward']);
    expect(await engines(named, 'stages.student.method.sources.off.from=teacher')).toEqual([
      'forward',
      'forward',
    ]);
  });

  test('attention and adapters are sent where they are set', async () => {
    const { client, plan } = await load(
      1,
      'models.tiny.attention=eager',
      'stages.student.training.lora={rank: 4, targets: [q_proj]}',
    );
    const [teacher, student] = client.argsOf('load_role');
    expect(teacher?.model).not.toHaveProperty('attention');
    expect(teacher).not.toHaveProperty('lora');
    expect(student?.model.attention).toBe('eager');
    const seed = plan.stages[1]?.adapterSeeds.weights;
    expect(student?.lora).toEqual({ rank: 4, alpha: 64, dropout: 0.1, targets: ['q_proj'], seed });
  });

  test('an earlier stage’s student is a folder of the run; its dtype and shape come with it', async () => {
    const { client } = await load(1);
    const [teacher, student] = client.argsOf('load_role');
    expect(teacher).toMatchObject({
      role: 'teacher',
      model: { source: '/somewhere/run/stages/teacher/student' },
    });
    expect(teacher?.model).not.toHaveProperty('arch');
    expect(teacher).not.toHaveProperty('optimizer');
    expect(student).toMatchObject({ role: 'student', model: { arch: { hidden_size: 16 }, init: 'random' } });
    expect(student?.optimizer).toMatchObject({ beta1: 0.9 });
  });

  test('the dtype of matrix products is named where it is another, also of an earlier stage’s student', async () => {
    const { client } = await load(1, 'models.big.compute_dtype=bfloat16');
    const [teacher, student] = client.argsOf('load_role');
    expect(teacher?.model).toMatchObject({ dtype: 'float32', compute_dtype: 'bfloat16' });
    expect(student?.model).not.toHaveProperty('compute_dtype');
  });

  test('some layers of a model are named', async () => {
    const { client } = await load(1, 'stages.student.student={stage: teacher, init: layers, layers: [1]}');
    expect(client.argsOf('load_role')[1]?.model).toMatchObject({ init: 'layers', layers: [1] });
  });

  test('critics have their own optimizer and seeds', async () => {
    const { client, loaded, plan } = await load(1, 'stages.student.method.adversary.optimizer.beta1=0.5');
    const critics = client.argsOf('load_critic');
    expect(critics.map(({ critic }) => critic)).toEqual(['on', 'off']);
    expect(critics[0]?.optimizer.beta1).toBe(0.5);
    expect(critics.map(({ spec }) => spec.seed)).toEqual(plan.stages[1]?.critics.map(({ seed }) => seed));
    expect(loaded.critics).toEqual({ on: 300, off: 300 });
  });

  test('a critic that follows from a ratio says so', async () => {
    const { client } = await load(1, 'stages.student.method.critics.off={head: mlp, form: free}');
    const [on, off] = client.argsOf('load_critic').map(({ spec }) => spec);
    expect(on).toMatchObject({ head: 'policy', form: 'ratio', rank: 16 });
    expect(off?.form).toBe('free');
    expect(off).not.toHaveProperty('rank');
  });

  test('the first failure is the outcome', async () => {
    const { config, plan } = planned();
    const client = new ScriptedClient().before('load_role', 1, failWith('model_error', 'no such folder'));
    const stage = plan.stages[1];
    if (stage === undefined) throw new Error('no stage');
    await expect(loadStage(client, stage, config, RUN)).rejects.toMatchObject({ code: 'model_error' });
    expect(client.ops).toHaveLength(7);
  });
});

describe('preflight', () => {
  const outcomes = async (...overrides: readonly string[]) => {
    const { config, plan } = planned(...overrides);
    const client = new ScriptedClient({ train: 100, check: 3 });
    return { client, stages: await preflight(client, config, plan, RUN, 'cpu') };
  };

  test('every stage is tried as it would start, earlier stages’ models untrained', async () => {
    const { client, stages } = await outcomes();
    expect(stages.map(({ stage, checks, skipped }) => [stage, checks.length, skipped])).toEqual([
      ['teacher', 1, null],
      ['student', 1, null],
    ]);
    const teacher = client.argsOf('load_role')[1];
    expect(teacher).toMatchObject({ role: 'teacher', model: { source: 'builtin:llama', init: 'random' } });
    expect(client.argsOf('preflight').map(({ rows }) => rows)).toEqual([
      Array.from({ length: 64 }, (_, row) => row),
      Array.from({ length: 64 }, (_, row) => row),
    ]);
  });

  test('a training set of fewer rows is tried with those', async () => {
    const { client } = await outcomes('stages.student.data.train=check');
    expect(client.argsOf('preflight')[1]?.rows).toEqual([0, 1, 2]);
  });

  test('the steps that the data make are known with it', async () => {
    const stages = (await outcomes('stages.student.training={steps: null, epochs: 2}')).stages;
    expect(stages.map(({ steps }) => steps)).toEqual([20, 25]);
    const { config, plan } = planned();
    const none = await preflight(new ScriptedClient({ train: 0 }), config, plan, RUN, 'cpu');
    expect(none.map(({ steps }) => steps)).toEqual([null, null]);
    expect(none.map(({ memory }) => memory)).toEqual([null, null]);
  });

  test('the memory of every stage is predicted', async () => {
    const { client, stages } = await outcomes();
    expect(stages.map(({ memory }) => memory)).toEqual([
      { ...client.memory, fits: true, remedies: [] },
      { ...client.memory, fits: true, remedies: [] },
    ]);
  });

  test('layers of a pretrained model can be had before the run', async () => {
    const { client, stages } = await outcomes(
      'models.big={source: some/model, init: pretrained}',
      'stages.student.student={stage: teacher, init: layers, layers: [0, 2]}',
    );
    expect(stages[1]?.skipped).toBeNull();
    expect(client.argsOf('load_role')[2]?.model).toMatchObject({
      source: 'some/model',
      init: 'layers',
      layers: [0, 2],
    });
  });

  test('layers of a model that only an earlier stage makes cannot: that is said', async () => {
    const { client, stages } = await outcomes(
      'stages.student.student={stage: teacher, init: layers, layers: [1]}',
    );
    expect(stages[1]).toMatchObject({
      stage: 'student',
      checks: [],
      skipped: expect.stringContaining('layers'),
    });
    expect(client.argsOf('preflight')).toHaveLength(1);
  });
});
