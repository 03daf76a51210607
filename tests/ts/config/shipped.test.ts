import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot, shippedConfigs } from '../../../ts/config/files.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import type { MethodConfig } from '../../../ts/config/schema.js';
import { planRun } from '../../../ts/plan/run.js';
import { resolveRun, workspace } from './workspace.js';

/** Data that shipped runs name by path: beside a clone of the package, and where `ammd import` writes. */
const ROW = '{"instruction": "x", "output": "y"}\n';
const IMPORTED = ['dolly/train', 'dolly/validation', 'dolly/test', 'openwebtext/train'].concat(
  ['self_instruct', 'vicuna', 'sni', 'unni'].map((name) => `${name}/test`),
  ['samsum', 'iwslt17', 'strategyqa'].flatMap((name) => [
    `${name}/train`,
    `${name}/validation`,
    `${name}/test`,
  ]),
);
const CLONE = join(
  workspace({
    'shared/data/dolly_6400_no_context.jsonl': ROW,
    'shared/data/self_instruct_eval.jsonl': ROW,
    ...Object.fromEntries(IMPORTED.map((file) => [`clone/data/${file}.jsonl`, ROW])),
  }),
  'clone',
);

test('every file in configs/ is of a kind that is loaded here', () => {
  const files = readdirSync(join(packageRoot(), 'configs'), { recursive: true, encoding: 'utf8' });
  const yaml = files.filter((file) => /\.ya?ml$/.test(file)).sort();
  const loaded = (['methods', 'reproduce', 'runs', 'sweeps'] as const).flatMap((kind) =>
    shippedConfigs(kind).map((name) => `${kind}/${name}.yaml`),
  );
  const references = 'reproduce/reference/literature.yaml'; // loaded by tests/ts/reproduce/reference.test.ts
  expect(yaml).toEqual([...loaded, references].sort());
  expect(shippedConfigs('methods')).toEqual([
    'abkd',
    'ammd',
    'ammd-exact',
    'ammd-off',
    'ammd-on',
    'distillm-skl',
    'distillm-srkl',
    'gkd',
    'imitkd',
    'jsd',
    'kd',
    'minillm',
    'opd',
    'rkl',
    'seqkd',
    'sft',
    'tvd',
  ]);
});

test.each(shippedConfigs('runs'))('run %s resolves without warning and is planned', (name) => {
  const resolved = resolveConfig(name, [], CLONE);
  expect(resolved.warnings).toEqual([]);
  expect(resolved.config.name).toBe(name);
  expect(planRun(resolved).stages.map((stage) => stage.name)).toEqual(Object.keys(resolved.config.stages));
});

/** A shipped method as a stage that says nothing of it has it; adaptive schedules need the evaluation. */
function methodOf(name: string): MethodConfig {
  const evaluation = '{every: 5, measure: [cross_entropy]}';
  const stage = `{student: tiny, teacher: {stage: teacher}, method: ${name}, evaluation: ${evaluation}}`;
  const method = resolveRun(`stages.other=${stage}`).config.stages.other?.method;
  if (method === undefined) throw new Error('the run has a stage other');
  return method;
}

test.each(shippedConfigs('methods'))('method %s is whole', (name) => {
  const method = methodOf(name);
  expect(method.name).toBe(name);
  const used = Object.values(method.terms).flatMap(({ critic }) => (critic === null ? [] : [critic]));
  expect(Object.keys(method.critics).sort()).toEqual(used.sort());
});

test('the run of all methods has a stage for each, with no setting of its own but its learning rate and what AMMD needs', () => {
  const { config } = resolveConfig('methods', [], CLONE);
  const { teacher: _teacher, start: _start, ...stages } = config.stages;
  const trained = Object.entries(stages);
  expect(trained.map(([name]) => name).sort()).toEqual(shippedConfigs('methods').toSorted());
  expect(trained.map(([name, stage]) => stage.method.name === name)).not.toContain(false);
  const shared = ({ training, rollout, data, student }: (typeof stages)[string]) =>
    JSON.stringify({
      training: { ...training, lr: { ...training.lr, from: 'tuned' } },
      rollout,
      data,
      student,
    });
  expect(new Set(trained.map(([, stage]) => shared(stage))).size).toBe(1);
});

test('the sides of the game keep only their own part, critic and gap', () => {
  const off = methodOf('ammd-off');
  const on = methodOf('ammd-on');
  expect([Object.keys(off.sources), Object.keys(off.terms), Object.keys(off.critics)]).toEqual([
    ['off'],
    ['off', 'anchor'],
    ['off'],
  ]);
  expect([Object.keys(on.sources), Object.keys(on.terms), Object.keys(on.critics)]).toEqual([
    ['on'],
    ['on', 'anchor'],
    ['on'],
  ]);
  expect(off.on_policy_weight).toMatchObject({ value: 0 });
  expect(on.on_policy_weight).toMatchObject({ value: 1 });
});
