import { describe, expect, test } from '@jest/globals';
import { problemsOf, resolveRun } from '../workspace.js';

const STAGE = 'stages.student';

/** Prompts of 40 tokens, rows of 100, evaluated responses of 20; the student has 120 positions, the teacher 512. */
const SMALL = [
  'models.tiny.arch.max_positions=120',
  'data.train={max_tokens: 100, max_prompt_tokens: 40}',
  'data.check={max_tokens: 100, max_prompt_tokens: 40}',
  'stage_defaults.evaluation.sampling.max_new_tokens=20',
  'stage_defaults.rollout.sampling.max_new_tokens=80',
] as const;

const warningsOf = (...overrides: readonly string[]) => resolveRun(...SMALL, ...overrides).warnings;
const refusedOf = (...overrides: readonly string[]) => problemsOf(...SMALL, ...overrides);

const refused = (dataset: string, response: number, by: string, longest: number, model: string) =>
  `data.${dataset}: prompts of up to 40 tokens with responses of up to ${response} (\`${by}\`) may reach ${longest}; ` +
  `the ${model}: lower \`max_prompt_tokens\` or \`max_new_tokens\``;
const STUDENT = 'student of stage "student" has 120 positions';

test('what fits to the last position is fine', () => {
  expect(warningsOf()).toEqual([]);
});

test('relative positions have no last one', () => {
  const long = 'data.train={max_tokens: 1000, max_prompt_tokens: 400}';
  expect(refusedOf(long)).not.toEqual([]);
  expect(
    warningsOf(
      ...['tiny', 'big'].map(
        (name) => `models.${name}={source: "builtin:t5", arch: {kv_heads: 4, heads: 4}}`,
      ),
      long,
    ),
  ).toEqual([]);
});

describe('responses that might not fit are refused', () => {
  test.each([
    [`${STAGE}.rollout.sampling.max_new_tokens=81`, refused('train', 81, 'rollout', 121, STUDENT)],
    [
      `${STAGE}.rollout.max_new_tokens={kind: linear, from: 4, to: 300}`,
      refused('train', 300, 'rollout', 340, STUDENT),
    ],
    [`${STAGE}.evaluation.sampling.max_new_tokens=81`, refused('check', 81, 'evaluation', 121, STUDENT)],
  ])('%s', (change, problem) => {
    expect(refusedOf(change)).toEqual([problem]);
  });

  test('by a student that an earlier stage made', () => {
    const later = ['stages.later={student: {stage: student}, teacher: {stage: teacher}, method: ammd}'];
    expect(refusedOf(...later, 'stages.later.rollout.sampling.max_new_tokens=81')).toEqual([
      refused('train', 81, 'rollout', 121, STUDENT.replace('"student"', '"later"')),
    ]);
  });

  test('by the teacher, which draws them or judges them', () => {
    const teacher = 'teacher of stage "student" has 110 positions';
    expect(refusedOf('models.big.arch.max_positions=110')).toEqual([
      refused('train', 80, 'rollout', 120, teacher),
    ]);
  });

  test('on the prompts of a part that has a dataset of its own', () => {
    const more = 'data.more={source: "builtin:microtasks", max_tokens: 100, max_prompt_tokens: 41}';
    expect(refusedOf(more, `${STAGE}.method.sources.on.data=more`)).toEqual([
      refused('more', 80, 'rollout', 121, STUDENT).replace('up to 40', 'up to 41'),
    ]);
    expect(warningsOf(more, `${STAGE}.method.sources.off.data=more`)).toEqual([]);
  });

  test('not where nothing is generated', () => {
    const change = 'stages.teacher.rollout.sampling.max_new_tokens=1000';
    expect(warningsOf(change)).toEqual([]);
  });
});

describe('rows of a dataset that might not fit', () => {
  const long = (dataset: string) => `data.${dataset}.max_tokens=121`;

  test('are told', () => {
    expect(warningsOf(long('train'))).toEqual([
      expect.stringContaining(`data.train: sequences may reach 121 tokens; the ${STUDENT}`),
    ]);
  });

  test.each([
    ['in steps that the student does not draw', `${STAGE}.method.sources.on.probability=0.5`, 1],
    ['not where it always does', `${STAGE}.method.sources.on.probability=1`, 0],
  ])('%s', (_, probability, count) => {
    const onAlone = `${STAGE}.method={extends: ammd-on}`;
    expect(warningsOf(onAlone, probability, long('train'))).toHaveLength(count);
  });

  test('in the validation set, where it is measured', () => {
    expect(warningsOf(long('check'))).toEqual([]);
    expect(warningsOf(long('check'), `${STAGE}.evaluation.measure=[cross_entropy]`)).toEqual([
      expect.stringContaining(`data.check: sequences may reach 121 tokens; the ${STUDENT}`),
    ]);
  });
});
