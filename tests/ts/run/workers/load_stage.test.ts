import { describe, expect, test } from '@jest/globals';
import { planRun } from '../../../../ts/plan/run.js';
import { RunFolder } from '../../../../ts/run/folder/run_folder.js';
import { HeldTeacher } from '../../../../ts/run/loaded/held_teacher.js';
import { loadStage } from '../../../../ts/run/workers/load_stage.js';
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

  test('critics have their own optimizer and seeds', async () => {
    const { client, loaded, plan } = await load(1, 'stages.student.method.adversary.optimizer.beta1=0.5');
    const critics = client.argsOf('load_critic');
    expect(critics.map(({ critic }) => critic)).toEqual(['on', 'off']);
    expect(critics[0]?.optimizer.beta1).toBe(0.5);
    expect(critics.map(({ spec }) => spec.seed)).toEqual(plan.stages[1]?.critics.map(({ seed }) => seed));
    expect(loaded.critics).toEqual({ on: 300, off: 300 });
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
