import { describe, expect, test } from '@jest/globals';
import { planRun } from '../../../ts/plan/run.js';
import { withRows } from '../../../ts/plan/stage.js';
import { parametersOf, stageCost } from '../../../ts/reproduce/cost.js';
import { RUN, resolveRun, resolveText } from '../config/workspace.js';

/** 16 wide, one layer, two heads of two key/value heads, 32 in the perceptron: counted by hand. */
const TINY = 4 * 16 * 16 + 3 * 16 * 32 + 99 * 16;
/** 32 wide, two layers, four heads with two key/value heads, 64 in the perceptron. */
const BIG = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64) + 99 * 32;

function cost(
  stage: string,
  overrides: readonly string[] = [],
  known: Readonly<Record<string, number>> = {},
) {
  const { config } = resolveRun(...overrides);
  const settings = config.stages[stage];
  if (settings === undefined) throw new Error(`no stage ${stage}`);
  return stageCost(config, settings, known, 100);
}

describe('parameters', () => {
  test('of a built-in model follow from its shape, of a stage from its student', () => {
    const { config } = resolveRun();
    expect(parametersOf(config, 'tiny', {})).toBe(TINY);
    expect(parametersOf(config, { stage: 'teacher', init: 'pretrained', layers: null }, {})).toBe(BIG);
  });

  test('of a built-in encoder-decoder are those that T5ForConditionalGeneration has in transformers', () => {
    const { config } = resolveRun(
      ...['tiny', 'big'].map((name) => `models.${name}.source=builtin:t5`),
      'models.big.arch.kv_heads=4',
    );
    expect(parametersOf(config, 'tiny', {})).toBe(7_968);
    expect(parametersOf(config, 'big', {})).toBe(52_960);
  });

  test('of another model must be told', () => {
    const { config } = resolveRun('models.big={source: org/model, arch: null, init: pretrained}');
    expect(parametersOf(config, 'big', {})).toBeNull();
    expect(parametersOf(config, 'big', { big: 7e9 })).toBe(7e9);
  });
});

describe('cost of a stage', () => {
  test('training alone: six operations a parameter and token', () => {
    const tokens = 20 * 8 * 512;
    expect(cost('teacher')).toEqual({ steps: 20, tokens, flops: tokens * 6 * BIG });
  });

  test('a teacher is run forward, and half of the rows are drawn', () => {
    const tokens = 20 * 8 * 512;
    const drawn = 20 * 4 * 16 * 2 * TINY;
    expect(cost('student').flops).toBe(tokens * (6 * TINY + 2 * BIG) + drawn);
    const mixed = cost('student', ['stages.student.method.sources.on.mixture=0.5']).flops;
    expect(mixed).toBe(tokens * (6 * TINY + 2 * BIG) + 20 * 4 * 16 * 2 * (TINY + BIG));
  });

  test('adapters leave out the gradients of weights', () => {
    const plain = cost('teacher').flops ?? 0;
    const lora = cost('teacher', ['stages.teacher.training.lora={rank: 4}']).flops;
    expect(lora).toBeCloseTo((plain * 4) / 6, 0);
  });

  test('epochs count the rows of the training set', () => {
    const epochs = ['stages.teacher.training.steps=null', 'stages.teacher.training.epochs=3'];
    expect(cost('teacher', epochs).steps).toBe(Math.ceil((3 * 100) / 8));
  });

  test.each([1, 3, 0.01])('%d epochs of MiniLLM are the steps that its plan has', (count) => {
    const text = RUN.replace('extends: ammd', 'extends: minillm').replace(
      /^ {6}(sources|on_policy|terms|adversary).*\n/gm,
      '',
    );
    const resolved = resolveText(text, [
      'stages.student.training.steps=null',
      `stages.student.training.epochs=${count}`,
      'stages.student.rollout.sampling.top_k=0',
    ]);
    const planned = planRun(resolved).stages.find(({ name }) => name === 'student');
    const settings = resolved.config.stages.student;
    if (planned === undefined || settings === undefined) throw new Error('the run has a student');
    const { studentSteps } = withRows(planned, { train: 100, check: 50 });
    // A step takes 4 rows of the corpus, and 4 prompts whose responses are used 4 times.
    expect(studentSteps).toBe(Math.max(1, Math.ceil((count * 100) / 5)));
    expect(stageCost(resolved.config, settings, {}, 100).steps).toBe(studentSteps);
  });

  test('epochs of a set whose rows nobody knows', () => {
    const { config } = resolveRun('stages.teacher.training.steps=null', 'stages.teacher.training.epochs=3');
    const teacher = config.stages.teacher;
    if (teacher === undefined) throw new Error('the run has a teacher');
    expect(stageCost(config, teacher, {}, null)).toEqual({ steps: null, tokens: null, flops: null });
  });

  test('is unknown where a model is', () => {
    expect(
      cost('student', ['models.big={source: org/model, arch: null, init: pretrained}']).flops,
    ).toBeNull();
  });
});
