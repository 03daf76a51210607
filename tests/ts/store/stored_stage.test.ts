import { writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { configToYaml, resolveConfig } from '../../../ts/config/resolve.js';
import { planRun } from '../../../ts/plan/run.js';
import { type StoredStage, type StoredStageOptions, storedStage } from '../../../ts/store/stored_stage.js';
import { resolveRun, resolveText, workspace } from '../config/workspace.js';

const STUDENT = 'stages.student';
const TEACHER = 'stages.teacher';

const stored = (overrides: readonly string[] = [], options: StoredStageOptions = {}, stage = 'student') =>
  storedStage(resolveRun(...overrides).config, stage, options);
const hashOf = (...args: Parameters<typeof stored>) => stored(...args).hash;

const folderOf = ({ name, hash }: StoredStage) => `/store/${hash}/stages/${name}/student`;

describe('what decides a stored stage', () => {
  test('its own settings, seed and name', () => {
    const changes: Parameters<typeof stored>[] = [
      [[`${STUDENT}.training.lr.from=2e-3`]],
      [[`${STUDENT}.method.terms.anchor.weight=0.3`]],
      [['models.tiny.arch.hidden_size=32']],
      [['data.train.limit=99']],
      [['seed=1']],
      [['worker.position_chunk=64']],
      [[], { seed: 1 }],
      [[], { name: 'other' }],
    ];
    const hashes = [hashOf(), ...changes.map((change) => hashOf(...change))];
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  test('its parents, and nothing of them but what they are', () => {
    expect(hashOf([`${TEACHER}.training.lr.from=2e-3`])).not.toBe(hashOf());
    expect(hashOf(['models.big.arch.hidden_size=64'])).not.toBe(hashOf());
    expect(stored([`${STUDENT}.training.lr.from=2e-3`]).parents[0]?.hash).toBe(stored().parents[0]?.hash);
    expect(stored([], { seed: 1, name: 'other' }).parents).toMatchObject([
      { name: 'teacher', hash: hashOf([], {}, 'teacher') },
    ]);
  });

  test('nothing that it does not use', () => {
    const others = [
      'name=else',
      'max_hours=3',
      'worker.threads=2',
      'tracking.wandb={project: p}',
      'data.more={source: builtin:microtasks, split: seen}',
      `stages.extra={student: tiny, method: sft}`,
    ];
    for (const change of others) expect([change, hashOf([change])]).toEqual([change, hashOf()]);
    expect(hashOf([`${STUDENT}.training.steps=9`], {}, 'teacher')).toBe(hashOf([], {}, 'teacher'));
  });

  test('files count by what the fingerprint says of them', () => {
    const folder = workspace({
      'a.jsonl': '{"instruction": "a", "output": "b"}\n',
      'b.jsonl': '{"instruction": "a", "output": "b"}\n',
    });
    const of = (file: string, fingerprint?: (source: string) => string) =>
      hashOf([`data.train.source=${folder}/${file}`], fingerprint === undefined ? {} : { fingerprint });
    expect(of('a.jsonl')).not.toBe(of('b.jsonl'));
    expect(of('a.jsonl', () => 'same')).toBe(of('b.jsonl', () => 'same'));
  });

  test('the hash of a stage that was stored before', () => {
    const pinned = `name: any
data: {train: {source: "builtin:microtasks", split: train}}
models: {tiny: {source: "builtin:llama", init: random, arch: {hidden_size: 8, layers: 1, heads: 1, kv_heads: 1, intermediate_size: 8}}}
stages:
  first: {student: tiny, data: {train: train}, training: {steps: 1, lr: 1e-3}, method: sft}
  second: {student: {stage: first}, data: {train: train}, training: {steps: 1, lr: 1e-3}, method: sft}
`;
    const hashed = (...overrides: readonly string[]) =>
      storedStage(resolveText(pinned, overrides).config, 'second').hash;
    expect([hashed(), hashed('data.train.long_prompts=drop', 'worker.rollout_rows=4')]).toEqual([
      'a6ff307aeb47ca49cb8e64a8e69146f91076f1fb6e24b4837a1acbf24cab917f',
      '87354855913b83a4287209f756f5ce1b750767bf3255a5f3f49be4ee6470439c',
    ]);
  });

  test('a stage that is not there is a mistake', () => {
    expect(() => stored([], {}, 'nobody')).toThrow('no stage nobody');
  });
});

describe('the configuration of a stored stage', () => {
  test('students of several seeds share the responses that their teacher draws', () => {
    const kept = `${STUDENT}.method.sources.off.from=teacher`;
    const partsOf = (overrides: readonly string[], seed?: number) => {
      const { configure } = stored([kept, ...overrides], seed === undefined ? {} : { seed });
      return planRun({ config: configure(folderOf), hash: '' }).stages[0]?.parts ?? [];
    };
    const [first, second, own] = [partsOf([], 5), partsOf([], 6), partsOf([])];
    expect(first[0]).toMatchObject({ part: 'off', from: 'teacher', cache: true });
    expect([second[0]?.seed, own[0]?.seed]).toEqual([first[0]?.seed, first[0]?.seed]);
    expect(second[1]?.seed).not.toBe(first[1]?.seed);
    expect(partsOf(['seed=1'], 5)[0]?.seed).not.toBe(first[0]?.seed);
    expect(partsOf([`${STUDENT}.method.sources.off.responses_seed=9`], 5)[0]?.seed).not.toBe(first[0]?.seed);
    const [apart] = partsOf([`${STUDENT}.method.sources.off.cache=false`], 5);
    expect(apart?.seed).not.toBe(first[0]?.seed);
  });

  test('trains the one stage, with its parents as folders', () => {
    const { config } = resolveRun();
    const own = stored([], { seed: 5, name: 'own' }).configure(folderOf);
    const teacher = hashOf([], {}, 'teacher');
    expect(Object.keys(own.stages)).toEqual(['own']);
    expect(own).toMatchObject({ seed: 5, worker: config.worker });
    expect(Object.keys(own.models)).toEqual(['tiny']);
    expect(own.stages.own?.teacher).toMatchObject({
      source: `/store/${teacher}/stages/teacher/student`,
      init: 'pretrained',
      dtype: 'float32',
    });
    expect(own.stages.own?.method).toEqual(config.stages.student?.method);
  });

  test('is a configuration that resolves to itself and plans the stage as the whole run does', () => {
    const folder = workspace({ 'teacher/config.json': '{}' });
    const own = stored().configure(() => `${folder}/teacher`);
    writeFileSync(`${folder}/own.yaml`, configToYaml(own));
    const again = resolveConfig(`${folder}/own.yaml`);
    expect(again.config).toEqual(own);
    const whole = planRun(resolveRun()).stages[1];
    const [planned] = planRun(again).stages;
    expect({ ...planned, index: 1, teacher: null }).toEqual({ ...whole, teacher: null });
    expect(planned?.teacher).toMatchObject({ seed: whole?.teacher?.seed });
  });

  test('a student that starts from some layers of a stage', () => {
    const own = stored([`${STUDENT}.student={stage: teacher, init: layers, layers: [1]}`]).configure(
      folderOf,
    );
    expect(own.models).toEqual({});
    expect(own.stages.student?.student).toMatchObject({ init: 'layers', layers: [1], arch: null });
  });
});
