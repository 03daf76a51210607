import { describe, expect, test } from '@jest/globals';
import { resolveRun } from '../config/workspace.js';
import { planOf, stageOf } from './plans.js';

test('a run plan has the stages in order and the identity of its configuration', () => {
  const plan = planOf('seed=3');
  expect(plan).toMatchObject({ name: 'demo', seed: 3, hash: resolveRun('seed=3').hash });
  expect(plan.stages.map(({ name, index, method }) => [name, index, method])).toEqual([
    ['teacher', 0, 'sft'],
    ['student', 1, 'ammd'],
  ]);
});

test('a plan cannot be changed, at any depth', () => {
  const plan = planOf();
  expect(() => Object.assign(plan, { name: 'other' })).toThrow(TypeError);
  expect(() => Object.assign(plan.stages[1]?.critics[0] ?? {}, { bound: 'tanh' })).toThrow(TypeError);
});

describe('parts, terms and critics', () => {
  test('shares become rows, parts take the training set unless they name another', () => {
    const { parts, datasets } = stageOf(
      'student',
      'stages.student.training.batch_size=10',
      'stages.student.method.sources={on: {share: 0.3}, off: {share: 0.7, data: check}}',
      'stages.student.data.test=[check]',
    );
    expect(parts.map(({ part, from, dataset, rows }) => [part, from, dataset, rows])).toEqual([
      ['off', 'dataset', 'check', 7],
      ['on', 'student', 'train', 3],
    ]);
    expect(datasets).toEqual(['check', 'train']);
  });

  test('terms and critics carry their names', () => {
    const { terms, critics } = stageOf('student');
    expect(terms.map(({ name, objective, critic, scale }) => [name, objective, critic, scale])).toEqual([
      ['on', 'moment', 'on', 'on_policy_weight'],
      ['off', 'moment', 'off', 'off_policy_weight'],
      ['anchor', 'forward_kl', null, 'none'],
    ]);
    expect(critics.map(({ name, part, bound }) => [name, part, bound])).toEqual([
      ['on', 'on', 'mixture'],
      ['off', 'off', 'mixture'],
    ]);
  });
});

describe('sources', () => {
  const partsOf = (sources: string, ...overrides: readonly string[]) =>
    stageOf('student', `stages.student.method.sources=${sources}`, ...overrides).parts;

  test('what is kept, for how long, and what is cached', () => {
    const [off, on] = partsOf(
      '{off: {from: teacher}, on: {max_staleness: 9, replay: {capacity: 80, fresh: 0.5}}}',
    );
    expect(off).toMatchObject({ cache: true, replay: null, maxStaleness: null });
    expect(on).toMatchObject({ cache: false, replay: { capacity: 80 }, maxStaleness: 9 });
    expect(partsOf('{off: {from: teacher, cache: false}}')[0]?.cache).toBe(false);
  });

  test('each decision of a part has a seed of its own', () => {
    const parts = partsOf('{off: {from: student, replay: {fresh: 0.5}}, on: {replay: {fresh: 0.5}}}');
    const seeds = parts.flatMap(({ seed, coinSeed, replay }) => [seed, coinSeed, replay?.seed]);
    expect(new Set(seeds).size).toBe(6);
  });

  test('cached responses are drawn once for every stage and method of a seed', () => {
    const other = 'stages.teacher={teacher: tiny, method: {sources: {off: {from: teacher}}}}';
    const [here] = partsOf('{off: {from: teacher}}', other);
    const [there] = stageOf('teacher', other).parts;
    expect(here?.seed).toBe(there?.seed);
    expect(here?.coinSeed).not.toBe(there?.coinSeed);
    expect(partsOf('{off: {from: teacher}}', 'seed=1')[0]?.seed).not.toBe(here?.seed);
    expect(partsOf('{off: {from: teacher, responses_seed: 5}}', 'seed=1')[0]?.seed).toBe(
      partsOf('{off: {from: teacher}}', 'seed=5')[0]?.seed,
    );
    const apart = '{off: {from: teacher, cache: false}}';
    expect(partsOf(apart)[0]?.seed).not.toBe(here?.seed);
  });
});

test('everything that moves is one of the schedules, by name', () => {
  const { schedules } = stageOf('student');
  expect(schedules['terms.anchor.weight']).toMatchObject({ kind: 'constant', value: 0.1 });
  expect(schedules['training.lr']).toMatchObject({ kind: 'cosine', from: 1e-3 });
  expect(Object.keys(schedules)).toContain('adversary.turns');
});

describe('models', () => {
  test('names are expanded; a stage is kept as a reference with what its weights are', () => {
    const plan = planOf(
      'models.big={dtype: bfloat16, compute_dtype: float16, attention: eager}',
      'stage_defaults.training.lora={}',
      'stages.student.student={stage: teacher, init: layers, layers: [1]}',
      'models.tiny=null',
    );
    const [teacher, student] = plan.stages;
    expect(teacher?.student).toMatchObject({
      origin: { kind: 'source', source: 'builtin:llama' },
      init: 'random',
      arch: { hidden_size: 32 },
    });
    expect(teacher?.teacher).toBeNull();
    expect(student?.student).toMatchObject({
      origin: { kind: 'stage', stage: 'teacher' },
      init: 'layers',
      layers: [1],
      arch: null,
      dtype: 'bfloat16',
      compute_dtype: 'float16',
      attention: 'eager',
    });
    expect(student?.teacher).toMatchObject({
      origin: { kind: 'stage', stage: 'teacher' },
      init: 'pretrained',
    });
  });

  test('an inline model is planned like a named one', () => {
    const inline =
      'stages.teacher.student={source: org/model, init: layers, layers: [0, 2], compute_dtype: float16}';
    expect(stageOf('teacher', inline, 'models.big=null').student).toMatchObject({
      origin: { kind: 'source', source: 'org/model' },
      layers: [0, 2],
      compute_dtype: 'float16',
    });
  });
});

describe('seeds', () => {
  const seedsOf = (...overrides: readonly string[]) =>
    planOf(...overrides).stages.flatMap((stage) => [
      ...stage.parts.map(({ seed }) => seed),
      ...stage.critics.map(({ seed }) => seed),
      ...Object.values(stage.orderSeeds),
      stage.student.seed,
    ]);

  test('are all different, and all change with the seed of the run', () => {
    const first = seedsOf();
    expect(new Set(first).size).toBe(first.length);
    const second = new Set(seedsOf('seed=1'));
    expect(first.filter((seed) => second.has(seed))).toEqual([]);
  });

  test('do not change when other things do', () => {
    expect(seedsOf('stages.student.training.steps=99', 'stages.student.method.adversary.turns=4')).toEqual(
      seedsOf(),
    );
  });

  test('a named model has the same random weights in every stage, unless it has a seed of its own', () => {
    const both = planOf('stages.student.student=big', 'models.tiny=null').stages;
    expect(both[0]?.student.seed).toBe(both[1]?.student.seed);
    expect(stageOf('teacher', 'models.big.seed=5').student.seed).toBe(5);
  });
});
