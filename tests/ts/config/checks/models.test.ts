import { describe, expect, test } from '@jest/globals';
import { problemsOf, resolveRun } from '../workspace.js';

const T5 = '{source: "builtin:t5", arch: {kv_heads: 4, heads: 4}}';
const BOTH = [`models.tiny=${T5}`, `models.big=${T5}`] as const;

describe('what an encoder-decoder cannot do is told before a worker starts', () => {
  test('two of them are fine', () => {
    expect(() => resolveRun(...BOTH)).not.toThrow();
  });

  test.each([
    ['models.tiny', 'builtin:t5 (the student) and builtin:llama'],
    ['models.big', 'builtin:llama (the student) and builtin:t5'],
  ])('one beside a decoder: %s', (model, pair) => {
    expect(problemsOf(`${model}=${T5}`)).toEqual([
      `stages.student.teacher: one of ${pair} is an encoder-decoder, which reads prompts apart; choose two of one kind`,
    ]);
  });

  test('the student of an earlier stage is what that stage trains', () => {
    const later = 'stages.later={student: {stage: student}, teacher: big, method: ammd}';
    expect(
      problemsOf(`models.tiny=${T5}`, 'stages.student.teacher=null', 'stages.student.method=sft', later),
    ).toEqual(
      expect.arrayContaining([
        expect.stringContaining('stages.later.teacher: one of builtin:t5 (the student)'),
      ]),
    );
  });

  test('packing', () => {
    expect(problemsOf(...BOTH, 'stages.student.training.packing=true')).toEqual([
      'stages.student.training.packing: builtin:t5 cannot take packed rows; set it to false',
    ]);
  });

  test('some of its layers', () => {
    const later =
      'stages.later={student: {stage: student, init: layers, layers: [0]}, teacher: {stage: teacher}, method: ammd}';
    expect(problemsOf(...BOTH, later)).toEqual([
      'stages.later.student.init: layers of builtin:t5 cannot be dropped; take all of it, or another shape',
    ]);
  });

  test('of models that are read from files nothing is known here', () => {
    expect(() => resolveRun('stages.student.teacher={source: org/model}')).not.toThrow();
  });
});
