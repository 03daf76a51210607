import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import {
  exportedStudent,
  wireCritic,
  wireDataset,
  wireModel,
  wireStudent,
  wireTeacher,
} from '../../../ts/dispatch/load_requests.js';
import { planRun } from '../../../ts/plan/run.js';
import { resolveRun } from '../config/workspace.js';

const studentOf = (stage: string) => `/run/${stage}/student`;

/** The second stage, which has a teacher that the first one trains, and critics. */
function second(...overrides: readonly string[]) {
  const resolved = resolveRun(...overrides);
  const stage = planRun(resolved).stages[1];
  if (stage === undefined) throw new Error('two stages');
  const { worker, data } = resolved.config;
  const teacher = wireTeacher(stage, worker, studentOf);
  return { stage, data, teacher, student: wireStudent(stage, studentOf) };
}

describe('roles', () => {
  test('a teacher is offloaded where the worker is told to, and nobody else', () => {
    const offloads = (...overrides: readonly string[]) => {
      const { teacher, student } = second(...overrides);
      return [teacher?.offload, student.offload];
    };
    expect(offloads()).toEqual([undefined, undefined]);
    expect(offloads('worker.offload_teacher=true')).toEqual([true, undefined]);
  });

  test('an engine is asked for where the config names one, for roles that draw responses', () => {
    const engines = (...overrides: readonly string[]) => {
      const { teacher, student } = second(...overrides);
      return [teacher?.engine, student.engine];
    };
    const named = 'stages.student.rollout.engine=forward';
    expect(engines()).toEqual([undefined, undefined]);
    expect(engines(named)).toEqual([undefined, 'forward']);
    expect(engines(named, 'stages.student.method.sources.off.from=teacher')).toEqual(['forward', 'forward']);
  });

  test('attention and adapters are sent where they are set', () => {
    const { teacher, student, stage } = second(
      'models.tiny.attention=eager',
      'stages.student.training.lora={rank: 4, targets: [q_proj]}',
    );
    expect(teacher?.model).not.toHaveProperty('attention');
    expect(teacher).not.toHaveProperty('lora');
    expect(student.model.attention).toBe('eager');
    const seed = stage.adapterSeeds.weights;
    expect(student.lora).toEqual({ rank: 4, alpha: 64, dropout: 0.1, targets: ['q_proj'], seed });
  });

  test('the dtype of matrix products is named where it is another, also of an earlier stage’s student', () => {
    const { teacher, student } = second('models.big.compute_dtype=bfloat16');
    expect(teacher?.model).toMatchObject({ dtype: 'float32', compute_dtype: 'bfloat16' });
    expect(student.model).not.toHaveProperty('compute_dtype');
  });

  test('an earlier stage’s student is in the folder that it was exported to; some of its layers are named', () => {
    const { stage } = second('stages.student.student={stage: teacher, init: layers, layers: [1]}');
    expect(wireModel(stage.student, studentOf)).toMatchObject({
      source: '/run/teacher/student',
      init: 'layers',
      layers: [1],
    });
    expect(wireModel(stage.student, () => 'beside').source).toBe(path.resolve('beside'));
  });

  test('an exported student is whole and frozen, whatever its stage began with', () => {
    const { stage } = second('stages.student.student={stage: teacher, init: layers, layers: [1]}');
    const role = exportedStudent(stage, '/elsewhere');
    expect(role).toMatchObject({ role: 'student', model: { source: '/elsewhere', init: 'pretrained' } });
    expect(role.model).not.toHaveProperty('layers');
    expect(role).not.toHaveProperty('optimizer');
  });
});

test('a critic that follows from a ratio says so', () => {
  const { stage } = second('stages.student.method.critics.off={head: mlp, form: free}');
  const [on, off] = stage.critics.map(wireCritic);
  expect(on).toMatchObject({ head: 'policy', form: 'ratio', rank: 16 });
  expect(off?.form).toBe('free');
  expect(off).not.toHaveProperty('rank');
});

test('of a dataset is sent what differs from the worker’s own default', () => {
  const { train, check } = second().data;
  if (train === undefined || check === undefined) throw new Error('two datasets');
  expect(wireDataset(train)).toMatchObject({ source: 'builtin:microtasks', limit: 100 });
  const whole = wireDataset(check);
  for (const key of ['limit', 'long_prompts', 'template_options']) expect(whole).not.toHaveProperty(key);
  expect(wireDataset({ ...check, template_options: { date: 'today' } }).template_options).toBe(
    '{"date":"today"}',
  );
});
