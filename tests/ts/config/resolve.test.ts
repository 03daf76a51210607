import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { configToYaml, resolveConfig } from '../../../ts/config/resolve.js';
import { configErrorOf, RUN, resolveRun, resolveText, workspace } from './workspace.js';

describe('a resolved configuration', () => {
  test('says everything: defaults, methods, constants as schedules', () => {
    const { config, warnings, files } = resolveRun('stages.student.training.lr=1e-3');
    const stage = config.stages.student;
    expect(warnings).toEqual([]);
    expect(files.map((file) => file.split('/').slice(-2).join('/')).slice(1)).toEqual([
      'methods/sft.yaml',
      'methods/ammd.yaml',
    ]);
    expect(stage?.training).toEqual({
      steps: 20,
      epochs: null,
      batch_size: 8,
      micro_batch: 0,
      micro_tokens: null,
      packing: false,
      lr: { kind: 'constant', value: 0.001, warmup: 0 },
      optimizer: { beta1: 0.9, beta2: 0.999, eps: 1e-8, optimistic: false, weight_decay: 0.01 },
      clip_norm: 1,
      gradient_checkpointing: false,
      lora: null,
      order: { by: 'shuffle', descending: false, epochs: 1 },
    });
    expect(stage?.teacher).toEqual({ stage: 'teacher', init: 'pretrained', layers: null });
    expect(Object.keys(stage?.method.critics ?? {})).toEqual(['on', 'off']);
    expect(config.data.train).toMatchObject({ split: 'train', limit: 100, template: 'alpaca' });
  });

  test('written as YAML resolves to itself, from any folder', () => {
    const first = resolveRun('stages.student.method.terms.anchor.weight={kind: linear, from: 1, to: 0}');
    const folder = workspace({ 'config.yaml': configToYaml(first.config) });
    const second = resolveConfig(join(folder, 'config.yaml'), [], '/');
    expect(second.config).toEqual(first.config);
    expect(second.hash).toBe(first.hash);
    expect(second.files).toHaveLength(1);
  });

  test('has one hash for one meaning', () => {
    const { hash } = resolveRun();
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(resolveRun('stages.teacher.training.clip_norm=1').hash).toBe(hash);
    expect(resolveRun('seed=1').hash).not.toBe(hash);
    const reordered = RUN.replace('name: demo\n', '').concat('name: demo\n');
    expect(resolveText(reordered).hash).toBe(hash);
  });

  test.each([
    ['worker.device=cpu', true],
    ['worker.threads=2', true],
    ['worker.transport=tcp', true],
    ['worker.step_budget_bytes=1000', true],
    ['worker.buffer_budget_bytes=1000', true],
    ['worker.cache_dir=elsewhere', true],
    ['tracking.wandb={project: p}', true],
    ['max_hours=2', true],
    ['worker.position_chunk=64', false], // rounds otherwise
    ['worker.loss_form=plain', false],
    ['worker.rollout_rows=16', false],
    ['stages.student.training.micro_batch=4', false],
    ['stages.student.training.micro_tokens=4096', false],
  ])('the hash names what is trained: %s leaves it %p', (change, same) => {
    expect(resolveRun(change).hash === resolveRun().hash).toBe(same);
  });

  test('settings that were added later leave the hash of a run that was begun before as it is', () => {
    const { hash } = resolveText(`name: pinned
data: {train: {source: "builtin:microtasks", template: plain}}
models: {tiny: {source: "builtin:llama", init: random, arch: {hidden_size: 16, layers: 1, heads: 2, kv_heads: 1, intermediate_size: 32}}}
stages: {only: {student: tiny, method: sft, data: {train: train}, training: {steps: 3, lr: 1.0e-3}}}
`);
    expect(hash).toBe('bd41ad8a83429f563d6c19127839b466b40689f1079327e1cd4b474f3bb92188');
    expect(resolveRun('data.train.long_prompts=drop').hash).not.toBe(resolveRun().hash);
  });

  test('the order of stages is part of the hash', () => {
    const stage = (name: string) => `  ${name}: {student: big, method: sft}\n`;
    const head = RUN.slice(0, RUN.indexOf('stages:\n')).replace(/^ {2}tiny.*\n/m, '');
    const hash = (...names: readonly string[]) =>
      resolveText(`${head}stages:\n${names.map(stage).join('')}`).hash;
    expect(hash('a', 'b')).not.toBe(hash('b', 'a'));
  });
});

describe('layers of configuration', () => {
  test('stage and dataset defaults lie under each entry, overrides over everything', () => {
    const { config } = resolveRun(
      'stage_defaults.training.batch_size=4',
      'stages.student.training.batch_size=6',
      'data_defaults={limit: 7, template: plain}',
    );
    expect(config.stages.teacher?.training.batch_size).toBe(4);
    expect(config.stages.student?.training.batch_size).toBe(6);
    expect(config.data.train).toMatchObject({ limit: 100, template: 'plain' });
    expect(config.data.check).toMatchObject({ limit: 7 });
  });

  test('columns of the defaults are laid under a dataset’s, but for those that it takes away', () => {
    const { config } = resolveRun(
      'data_defaults={fields: {messages: talk, group: task}}',
      'data.check={fields: {messages: null, output: answer}}',
    );
    expect(config.data.train?.fields).toEqual({ messages: 'talk', group: 'task' });
    expect(config.data.check?.fields).toEqual({ group: 'task', output: 'answer' });
    expect(() => resolveRun('data.check.fields={messages: talk, output: answer}')).toThrow(
      'data.check.fields: messages stands for instruction, input and output; give one of them',
    );
  });

  test('an override reaches into a method given by name, and can exchange it', () => {
    const { config } = resolveRun(
      'stages.student.method.adversary.turns=3',
      'stages.teacher.method=kd',
      'stages.teacher.teacher=big',
    );
    expect(config.stages.student?.method).toMatchObject({ name: 'ammd', adversary: { turns: { value: 3 } } });
    expect(config.stages.teacher?.method.name).toBe('kd');
  });

  test('an override changes a method that an earlier one names; a later name takes all of its place', () => {
    const method = (...overrides: readonly string[]) =>
      resolveRun(...overrides).config.stages.student?.method;
    const [name, weight] = [
      'stages.student.method=ammd-exact',
      'stages.student.method.on_policy_weight=0.125',
    ];
    expect(method(name, weight)).toEqual({
      ...method(name),
      on_policy_weight: { kind: 'constant', value: 0.125, warmup: 0 },
    });
    expect(method(name)?.name).toBe('ammd-exact');
    expect(method(weight, name)).toEqual(method(name));
    expect(method('stage_defaults.method=kd', 'stages.student.method=ammd-exact', weight)).toEqual(
      method(name, weight),
    );
  });

  test('keys are laid over an order of rows by name, and over a number for a schedule', () => {
    const text = RUN.replace('steps: 20,', 'steps: 20, order: length,').replace(/lr: {.*?}/, 'lr: 0.5');
    const training = (...changes: readonly string[]) =>
      resolveText(text, changes).config.stages.student?.training;
    const [order, lr] = ['stages.student.training.order', 'stages.student.training.lr'];
    expect(training(`${order}.descending=true`)?.order).toEqual({
      by: 'length',
      descending: true,
      epochs: 1,
    });
    expect(training(`${lr}.warmup=5`)?.lr).toEqual({ kind: 'constant', value: 0.5, warmup: 5 });
    const linear = { kind: 'linear', from: 1, to: 0, warmup: 0, over: null };
    expect(training(`${lr}=${JSON.stringify(linear)}`)?.lr).toEqual(linear);
  });

  test('a short form takes all of the place of what is below, also where keys are laid over it', () => {
    const text = RUN.replace('steps: 20,', 'steps: 20, order: {by: length, epochs: null},').replace(
      /lr: {.*?}/,
      'lr: {kind: constant, value: 0.5, warmup: 5}',
    );
    const training = (...changes: readonly string[]) =>
      resolveText(text, changes).config.stages.student?.training;
    const [order, lr] = ['stages.student.training.order', 'stages.student.training.lr'];
    const gap = { by: 'gap', descending: false, epochs: 1 };
    expect(training(`${order}=gap`)?.order).toEqual(gap);
    expect(training(`${order}.descending=true`, `${order}=gap`)?.order).toEqual(gap);
    expect(training(`${order}=gap`, `${order}.descending=true`)?.order).toEqual({
      ...gap,
      descending: true,
    });
    expect(training(`${lr}=1`, `${lr}.value=0.25`)?.lr).toEqual({ kind: 'constant', value: 0.25, warmup: 0 });
  });

  test('a method can be changed in place, and null takes an entry away', () => {
    const { config } = resolveRun(
      'stages.student.method={extends: ammd, name: bare, terms: {anchor: null}, on_policy_weight: 0.25}',
    );
    const method = config.stages.student?.method;
    expect(Object.keys(method?.terms ?? {})).toEqual(['on', 'off']);
    expect(method?.on_policy_weight).toMatchObject({ value: 0.25 });
    expect(method?.name).toBe('bare');
  });

  test('a stage set to null is left out', () => {
    expect(Object.keys(resolveRun('stages.student=null').config.stages)).toEqual(['teacher']);
  });

  test('a run extends another one, by path beside it, and methods by path too', () => {
    const folder = workspace({
      'runs/base.yaml': RUN,
      'runs/next.yaml':
        'extends: ./base.yaml\nname: next\nstages:\n  student: {method: ../methods/mine.yaml}\n',
      'methods/mine.yaml': 'extends: kd\nname: mine\nterms: {forward_kl: {weight: 0.9}}\n',
    });
    const { config, files } = resolveConfig('runs/next.yaml', [], folder);
    expect(config.name).toBe('next');
    expect(config.stages.student?.method.name).toBe('mine');
    expect(config.stages.student?.method.terms.forward_kl?.weight).toMatchObject({ value: 0.9 });
    expect(files.slice(0, 2)).toEqual([join(folder, 'runs/next.yaml'), join(folder, 'runs/base.yaml')]);
    expect(files).toContain(join(folder, 'methods/mine.yaml'));
  });

  test('a circle of files is refused', () => {
    const folder = workspace({ 'a.yaml': 'extends: ./b.yaml\n', 'b.yaml': 'extends: ./a.yaml\n' });
    const error = configErrorOf(() => resolveConfig('a.yaml', [], folder));
    expect(error.message).toBe(`b.yaml:1:10: extends: ${join(folder, 'a.yaml')} extends itself`);
  });

  test('extends must be text, and defaults a mapping', () => {
    expect(configErrorOf(() => resolveText('extends: [a]\n')).message).toContain(
      'run.yaml:1:10: extends: expected a name or a path',
    );
    expect(configErrorOf(() => resolveRun('stage_defaults=3')).message).toContain('stage_defaults: expected');
  });
});

describe('finding configurations', () => {
  test('shipped runs and methods are found by name', () => {
    expect(resolveConfig('quickstart', [], '/').config.name).toBe('quickstart');
    expect(
      resolveRun('stages.teacher.method=kd', 'stages.teacher.teacher=big').config.stages.teacher?.method.name,
    ).toBe('kd');
  });

  test('an unknown name gets the nearest, a missing path the file looked for', () => {
    expect(configErrorOf(() => resolveConfig('quikstart')).message).toBe(
      'unknown run configuration "quikstart"; did you mean "quickstart"? (a file is given by its path)',
    );
    expect(configErrorOf(() => resolveRun('stages.teacher.method=amdm')).message).toContain(
      'did you mean "ammd"?',
    );
    expect(configErrorOf(() => resolveConfig('no/such.yaml', [], '/')).message).toBe('no file /no/such.yaml');
  });

  test('a file that is no mapping, empty, or a folder is refused', () => {
    const folder = workspace({ 'list.yaml': '- 1\n', 'empty.yaml': '', 'folder.yaml/x': '' });
    expect(configErrorOf(() => resolveConfig('list.yaml', [], folder)).message).toContain('list.yaml:1:1');
    expect(configErrorOf(() => resolveConfig('empty.yaml', [], folder)).message).toContain('a mapping');
    expect(configErrorOf(() => resolveConfig('folder.yaml', [], folder)).message).toContain('cannot read');
  });

  test('a method in a file of its own is checked, and errors name its lines', () => {
    const folder = workspace({
      'run.yaml': RUN,
      'm.yaml': 'extends: sft\nname: m\nterms: {cross_entropy: {part: of}}\n',
      'bad.yaml': 'extends: sft\nnmae: m\n',
    });
    const problems = (method: string) =>
      configErrorOf(() => resolveConfig('run.yaml', [`stages.teacher.method=${method}`], folder)).message;
    expect(problems('./m.yaml')).toContain(
      'm.yaml:3:31: stages.teacher.method.terms.cross_entropy.part: unknown part "of"; did you mean "off"?',
    );
    expect(problems('./bad.yaml')).toContain('did you mean "name"?');
  });
});

describe('files of data and models', () => {
  const row = '{"instruction": "x", "output": "y"}\n';

  test('are looked for beside the config file, then in the working directory, and become absolute', () => {
    const folder = workspace({
      'configs/run.yaml': RUN,
      'configs/near.jsonl': row,
      'near.jsonl': row,
      'far.jsonl': row,
      'configs/data/x.jsonl': row,
    });
    const source = (path: string) => {
      writeFileSync(
        join(folder, 'configs/run.yaml'),
        RUN.replace('train: {source: "builtin:microtasks"', `train: {source: "${path}"`),
      );
      return resolveConfig('configs/run.yaml', [], folder).config.data.train?.source;
    };
    expect(source('./near.jsonl')).toBe(join(folder, 'configs/near.jsonl'));
    expect(source('near.jsonl')).toBe(join(folder, 'near.jsonl'));
    expect(source('./far.jsonl')).toBe(join(folder, 'far.jsonl'));
    expect(source(join(folder, 'far.jsonl'))).toBe(join(folder, 'far.jsonl'));
  });

  test('an override is relative to the working directory', () => {
    const folder = workspace({ 'configs/run.yaml': RUN, 'x.jsonl': row, 'configs/x.jsonl': row });
    const { config } = resolveConfig('configs/run.yaml', ['data.train.source=./x.jsonl'], folder);
    expect(config.data.train?.source).toBe(join(folder, 'x.jsonl'));
  });

  test('names of the hub, builtin and package sources are left as they are', () => {
    for (const source of ['org/model-135M', 'package:llm/x.gguf']) {
      const { config } = resolveRun(`models.big={source: "${source}", init: pretrained, arch: null}`);
      expect(config.models.big?.source).toBe(source);
    }
  });

  test('what does not exist is one error with the places looked at', () => {
    const folder = workspace({ 'configs/run.yaml': RUN });
    const overrides = [
      'data.train.source=missing.jsonl',
      'models.big={source: "gguf:./m.gguf"}',
      'stages.teacher.student={source: /none}',
      'worker.cache_dir=cache',
    ];
    const error = configErrorOf(() => resolveConfig('configs/run.yaml', overrides, folder));
    expect(error.issues.map(({ path, message }) => `${path}: ${message}`)).toEqual([
      `data.train.source: no such file or folder; looked for ${join(folder, 'missing.jsonl')}`,
      `models.big.source: no such file or folder; looked for ${join(folder, 'm.gguf')}`,
      'stages.teacher.student.source: no such file or folder; looked for /none',
    ]);
  });

  test('the cache folder becomes absolute', () => {
    const folder = workspace({ 'run.yaml': RUN });
    const { config } = resolveConfig('run.yaml', ['worker.cache_dir=cache'], folder);
    expect(config.worker.cache_dir).toBe(join(folder, 'cache'));
  });
});
