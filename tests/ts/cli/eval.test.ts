import { describe, expect, test } from '@jest/globals';
import { evaluationOf, findDataset } from '../../../ts/cli/eval.js';
import { planRun } from '../../../ts/plan/run.js';
import { resolveRun } from '../config/workspace.js';

const OWN = 'stages.student.evaluation';

/** The student's stage of the demo run. */
function planned(...settings: readonly string[]) {
  const resolved = resolveRun(...settings);
  const stage = planRun(resolved).stages.find(({ name }) => name === 'student');
  if (stage === undefined) throw new Error('the demo run has a stage student');
  return { run: { config: resolved.config, stage } };
}

/** With an evaluation that no default is like. */
function target() {
  return planned(
    `${OWN}={metrics: [rouge_l], seeds: [3, 4], greedy: false, rows: 5}`,
    `${OWN}.sampling={temperature: 0.7, top_p: 0.9, max_new_tokens: 77, no_repeat_ngram_size: 6}`,
  );
}

test('what no option says is as in the run, over all rows', () => {
  const run = target();
  const { metrics, seeds, greedy, sampling } = run.run.stage.evaluation;
  expect(evaluationOf(run, {})).toMatchObject({ metrics, seeds, greedy, sampling, rows: null });
  expect(sampling).toMatchObject({ temperature: 0.7, no_repeat_ngram_size: 6 });
});

test('options change what they name alone', () => {
  const run = target();
  const { sampling } = run.run.stage.evaluation;
  const changed = evaluationOf(run, { seeds: [9], greedy: true, rows: 2, 'max-new-tokens': 5 });
  expect(changed).toMatchObject({ metrics: ['rouge_l'], seeds: [9], greedy: true, rows: 2 });
  expect(changed.sampling).toEqual({ ...sampling, max_new_tokens: 5 });
  expect(evaluationOf({ run: null }, { 'no-greedy': true }).greedy).toBe(false);
});

test('a model of no run is evaluated as in the tables', () => {
  expect(evaluationOf({ run: null }, {})).toMatchObject({
    metrics: ['rouge_l'],
    seeds: [10, 20, 30, 40, 50],
    greedy: true,
    sampling: { temperature: 1, top_p: 1, top_k: 0, max_new_tokens: 256, no_repeat_ngram_size: 0 },
  });
});

describe('a source', () => {
  const split = 'train';
  const options = { split, template: undefined, fields: undefined };

  const trainedOn = (...settings: readonly string[]) =>
    planned(...settings.map((setting) => `data.train.${setting}`));
  const mapped = () =>
    trainedOn('template=text', 'max_prompt_tokens=100', 'max_tokens=300', 'fields={output: answer}');

  test('of the run is as the run has it', () => {
    const target = trainedOn('template=plain');
    expect(findDataset(target, 'check', { ...options, template: 'text' })).toBe(target.run.config.data.check);
  });

  test('that is not the run’s is read as the training set is', () => {
    expect(findDataset(mapped(), 'new.jsonl', { ...options, split: 'test' })).toMatchObject({
      ...{ source: 'new.jsonl', split: 'test', limit: null, template: 'text' },
      ...{ max_prompt_tokens: 100, max_tokens: 300, fields: { output: 'answer' } },
    });
  });

  test('with the variables of its chat template, its drops and its bad lines', () => {
    const chats = trainedOn(
      'template=chat',
      'template_options={enable_thinking: false}',
      'long_prompts=drop',
      'skip_bad_lines=true',
    );
    expect(findDataset(chats, 'new.jsonl', options)).toMatchObject({
      ...{ template: 'chat', long_prompts: 'drop', skip_bad_lines: true },
      template_options: { enable_thinking: false },
    });
    const found = findDataset(chats, 'new.jsonl', {
      ...{ split, fields: undefined, template: 'text', 'long-prompts': 'cut', 'skip-bad-lines': false },
      ...{ 'max-prompt-tokens': 700, 'max-tokens': 900 },
    });
    expect(found).toMatchObject({ template: 'text', long_prompts: 'cut', skip_bad_lines: false });
    expect(found).toMatchObject({ max_prompt_tokens: 700, max_tokens: 900 });
    expect(found).not.toHaveProperty('template_options');
  });

  test('but for what options say', () => {
    const given = { split, template: 'plain', fields: ['instruction=a=b', 'input=c'] } as const;
    expect(findDataset(mapped(), 'new.jsonl', given)).toMatchObject({
      template: 'plain',
      max_prompt_tokens: 100,
      fields: { instruction: 'a=b', input: 'c' },
    });
  });

  test('may be of conversations', () => {
    const given = { ...options, fields: ['messages=conversations'] };
    expect(findDataset(mapped(), 'new.jsonl', given).fields).toEqual({ messages: 'conversations' });
    expect(() =>
      findDataset(mapped(), 'new.jsonl', { ...given, fields: ['messages=a', 'output=b'] }),
    ).toThrow('messages stands for instruction, input and output; give one of them');
  });

  test('that is built in has its own columns', () => {
    expect(findDataset(mapped(), 'builtin:microtasks', options)).toMatchObject({
      template: 'text',
      fields: {},
    });
  });

  test('for a model of no run is read by the schema’s defaults', () => {
    expect(findDataset({ run: null }, 'new.jsonl', options)).toMatchObject({
      ...{ template: 'alpaca', max_prompt_tokens: 256, max_tokens: 512, fields: {} },
    });
  });

  test.each(['output', 'answer=output'])('has no field %s', (field) => {
    expect(() => findDataset(mapped(), 'new.jsonl', { ...options, fields: [field] })).toThrow(
      `--fields ${field}: expected`,
    );
  });
});
