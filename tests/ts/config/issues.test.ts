import { describe, expect, test } from '@jest/globals';
import { ConfigError, configError } from '../../../ts/config/errors.js';
import { configErrorOf, problemsOf, RUN, resolveText } from './workspace.js';

const messageOf = (text: string) => configErrorOf(() => resolveText(text)).message;

describe('unknown keys', () => {
  test('are named with path, file, line and column, and the nearest known key', () => {
    const text = RUN.replace(
      'teacher: {stage: teacher}',
      'teacher: {stage: teacher}\n    trainign: {steps: 3}',
    );
    expect(messageOf(text)).toBe(
      'run.yaml:17:5: stages.student.trainign: unknown key; did you mean "training"?',
    );
  });

  test('at the top, keys that only put files together are known too', () => {
    expect(messageOf(RUN.replace('stage_defaults', 'stage_default'))).toContain(
      'run.yaml:8:1: stage_default: unknown key; did you mean "stage_defaults"?',
    );
  });

  test('among stage defaults are reported once, where they were written', () => {
    const message = messageOf(RUN.replace('batch_size: 8', 'batchsize: 8'));
    expect(message).toBe(
      'run.yaml:10:25: stages.teacher.training.batchsize: unknown key; did you mean "batch_size"?',
    );
  });

  test('in a schedule or a model reference are judged by the alternative that was meant', () => {
    expect(problemsOf('stages.student.training.lr={kind: linear, from: 1, too: 0}')).toEqual([
      'stages.student.training.lr.to: missing; expected number',
      'stages.student.training.lr.too: unknown key; did you mean "to"?',
    ]);
    expect(problemsOf('stages.student.teacher={stage: teacher, lyers: [0]}')).toEqual([
      'stages.student.teacher.lyers: unknown key; did you mean "layers"?',
    ]);
    expect(problemsOf('stages.student.training.lr.value=1')).toEqual([
      'stages.student.training.lr.value: unknown key; known: kind, from, to, warmup, over',
    ]);
    expect(problemsOf('stages.student.teacher.dtype=bfloat16')).toEqual([
      'stages.student.teacher.dtype: unknown key; known: stage, init, layers',
    ]);
  });
});

describe('wrong values', () => {
  test.each([
    ['seed=-1', 'seed: expected whole number from 0, got -1'],
    ['seed=1.5', 'seed: expected whole number from 0, got 1.5'],
    ['seed=.nan', 'seed: expected whole number from 0, got NaN'],
    [
      'stages.student.training.batch_size=many',
      'stages.student.training.batch_size: expected whole number from 1 to 65536, got "many"',
    ],
    [
      'stages.student.training.optimizer.beta1=1',
      'stages.student.training.optimizer.beta1: expected number from 0 below 1, got 1',
    ],
    [
      'data.train.template=alpacca',
      'data.train.template: expected alpaca | chat | plain | text, got "alpacca"',
    ],
    ['data.train.limit=0', 'data.train.limit: expected whole number from 1 to 1000000000, or null, got 0'],
    ['worker.device=gpu', 'worker.device: expected auto, cpu, cuda or cuda:N, got "gpu"'],
    ['name=a b', 'name: a name of at most 32 letters, digits, _ and -, beginning with a letter, got "a b"'],
    [
      'data=3',
      'data: expected mapping of names to mapping {source, split, limit, template, template_options, max_prompt_tokens, ',
    ],
    ['stages.student.evaluation.seeds=[1, x]', 'stages.student.evaluation.seeds.1: expected whole number'],
    ['stages.student.student=[1]', 'stages.student.student: expected text, or mapping {stage, init, layers}'],
    [
      'stages.student.training.lr=fast',
      'stages.student.training.lr: expected a number or a mapping with kind: constant, linear, cosine, step, sequence or adaptive',
    ],
    [
      'stages.student.training.lr={kind: cosin, from: 1, to: 0}',
      'stages.student.training.lr.kind: expected a number or a mapping with kind: constant, linear, cosine, st',
    ],
    ['stages.student.training.lr=-1', 'stages.student.training.lr: every value must be from 0 to 1000'],
    [
      'stages.student.method.on_policy_weight={kind: linear, from: 0, to: 1.5}',
      'stages.student.method.on_policy_weight: every value must be from 0 to 1',
    ],
    ['stages.student.training.epochs=2', 'stages.student.training.steps: give either `steps` or `epochs`'],
    ['stages.student.training.steps=null', 'stages.student.training.steps: give either `steps` or `epochs`'],
    ['stages.1st={student: big, method: sft}', 'stages.1st: a name of at most 32 letters'],
    ['models.tiny.arch=null', 'models.tiny.arch: a builtin model needs `arch`'],
    ['models.tiny.init=pretrained', 'models.tiny.init: a builtin model has no pretrained weights'],
    [
      'models.tiny.arch.hidden_size=15',
      'models.tiny.arch.hidden_size: hidden_size must be a multiple of heads',
    ],
    ['models.big.arch.kv_heads=3', 'models.big.arch.heads: heads must be a multiple of kv_heads'],
    [
      'models.big.source=builtin:lama',
      'models.big.source: the builtin models are builtin:llama and builtin:t5, got "builtin:lama"',
    ],
    ['models.big.source=builtin:t5', 'models.big.arch.kv_heads: kv_heads must be heads in builtin:t5, got 2'],
    [
      'models.tiny={source: "builtin:t5", arch: {tie_embeddings: false}}',
      'models.tiny.arch.tie_embeddings: the head of builtin:t5 always shares the weight of its embedding, got false',
    ],
    ['models.tiny={source: "builtin:t5", init: pretrained}', 'models.tiny.init: a builtin model has no pre'],
    [
      'stages.student.student={stage: teacher, init: layers}',
      'stages.student.student.layers: `layers` and `i',
    ],
    [
      'stages.student.student={stage: teacher, init: layers, layers: [3, 0]}',
      'stages.student.student.layers: layer numbers must ascend, each at most once, got [3,0]',
    ],
  ])('%s', (override, problem) => {
    const problems = problemsOf(override);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
  });

  test('a missing key is reported at its nearest parent', () => {
    const message = messageOf(RUN.replace('source: "builtin:microtasks", limit: 100', 'limit: 100'));
    expect(message).toBe('run.yaml:3:3: data.train.source: missing; expected text');
  });

  test('an override of an entry that is not there names the one that was meant', () => {
    const error = configErrorOf(() => resolveText(RUN, ['stages.studnet.training.steps=10']));
    expect(error.message).toMatch(/stages\.studnet\.method: missing; .*did you mean "stages\.student"\?/);
  });

  test('an incomplete entry of a file names no other', () => {
    const text = `${RUN}  students: {student: tiny, teacher: {stage: teacher}}\n`;
    expect(messageOf(text)).toMatch(/stages\.students\.method: missing; expected [^;]*$/);
  });

  test('an override is named as it was given', () => {
    const error = configErrorOf(() => resolveText(RUN, ['seed=x']));
    expect(error.message).toBe('--set seed=x: seed: expected whole number from 0, got "x"');
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.code).toBe('config');
  });
});

test('a long list of issues is cut, and the rest counted', () => {
  const issues = Array.from({ length: 15 }, (_, i) => ({ path: `k${i}`, message: 'bad', at: null }));
  const lines = new ConfigError(issues).message.split('\n');
  expect(lines).toHaveLength(13);
  expect(lines[12]).toBe('… and 3 more');
});

test('a cause is kept', () => {
  const cause = new Error('why');
  expect(configError('x', null, '', cause).cause).toBe(cause);
});
