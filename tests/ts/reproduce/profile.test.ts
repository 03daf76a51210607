import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { shippedConfigs } from '../../../ts/config/files.js';
import { resolveProfile } from '../../../ts/reproduce/profile.js';
import { configErrorOf, workspace } from '../config/workspace.js';
import { changedProfile, TINY_PROFILE, tinyProfile } from './scene.js';

const TEXT = readFileSync(TINY_PROFILE, 'utf8').replace('../configs', path.resolve('tests/fixtures/configs'));
const errorOf = (from: string, to: string) =>
  configErrorOf(() => resolveProfile(changedProfile(TEXT, from, to))).message;

describe('a profile', () => {
  test('lays its settings over the run, and the command line over them', () => {
    const { run } = tinyProfile('data.tuning.limit=5', 'stage_defaults.training.steps=9');
    expect(run.data.tuning).toMatchObject({ split: 'tuning', limit: 5 });
    expect(run.stages.jsd?.method.name).toBe('jsd');
    expect(run.stages.ammd?.training.steps).toBe(9);
  });

  test('gives each row a run with its settings, and no test set in any stage', () => {
    const { config, runOf } = tinyProfile();
    const row = config.tables.beta?.rows.w1;
    if (row === undefined) throw new Error('the table has the row');
    const run = runOf(row, { 'training.lr.from': 0.5 });
    expect(Object.keys(run.stages)).toEqual(['teacher', 'ammd']);
    expect(run.stages.ammd?.method.on_policy_weight).toMatchObject({ value: 1 });
    expect(run.stages.ammd?.training.lr).toMatchObject({ from: 0.5 });
    expect(Object.values(run.stages).map(({ data }) => data.test)).toEqual([[], []]);
  });

  test('gives a row another method, with what the row changes in that', () => {
    const set = 'label: JSD, set: {method: kd, method.terms.forward_kl.weight: 0.25}}';
    const { config, runOf } = resolveProfile(changedProfile(TEXT, 'label: JSD}', set));
    const row = config.tables.instruct?.rows.jsd;
    if (row === undefined) throw new Error('the table has the row');
    const method = runOf(row).stages.jsd?.method;
    expect(method?.name).toBe('kd');
    expect(method?.terms.forward_kl?.weight).toMatchObject({ value: 0.25 });
  });
});

describe('mistakes name the place', () => {
  test.each([
    [
      '{stage: jsd, label',
      '{stage: jds, label',
      /tables\.instruct\.rows\.jsd\.stage: unknown stage "jds"; did you mean "jsd"/,
    ],
    [
      'data: [seen]\n    primary',
      'data: [sene]\n    primary',
      /tables\.instruct\.data\.0: unknown dataset "sene"/,
    ],
    ['primary: {row: ammd', 'primary: {row: amd', /primary\.row: unknown row "amd"; did you mean "ammd"/],
    ['data: seen}', 'data: train}', /primary\.data: unknown test set "train"/],
    [
      'data: tuning\n',
      'data: seen\n',
      /tables\.instruct\.data\.0: "seen" has the rows of "seen", by which .*: nothing may be tested on it/,
    ],
    ['data: tuning\n', 'data: seen\n', /tables\.beta\.data\.0: "seen" has the rows/],
    ['split: tuning,', 'split: seen,', /"seen" has the rows of "tuning"/],
    ['data: [seen]\n    primary', 'data: [train]\n    primary', /"train" has the rows of "train"/],
    ['limit: 8}', 'limit: 8}\n  data.seen.split: validation', /"seen" has the rows of "validation"/],
    ['primary: {row: ammd', 'primary: {row: jsd', /primary\.row: "jsd" is one of the baselines/],
    ['seed: 1\n', 'seed: 5\n', /tuning\.seed: must be below the first seed/],
    ['metric: exact_match', 'metric: blue', /metric/],
    ['method.on_policy_weight: 0}', 'method.on_policy_wieght: 0}', /on_policy_wieght/],
    ['setting: training.lr.from', 'setting: training.lr.form', /lr\.form: unknown key/],
    ['run: /', 'run: ./', /no file/],
    [
      '  beta:',
      '  workers:',
      /tables\.workers: "workers" would be a folder that a reproduction has for something/,
    ],
    ['  beta:', '  instruct-3-seeds:', /tables\.instruct-3-seeds: .*give another name/],
  ])('%s → %s', (from, to, message) => {
    expect(errorOf(from, to)).toMatch(message);
  });

  test('a primary comparison by a decoding that there is none of', () => {
    const text = TEXT.replace('data: seen}', 'data: seen, decoding: greedy}');
    const file = changedProfile(text, 'evaluation:', 'evaluation:\n  greedy: false');
    expect(configErrorOf(() => resolveProfile(file)).message).toMatch(
      /primary\.decoding: nothing is decoded greedily/,
    );
  });

  test('reference numbers beside a decoding that there is none of', () => {
    const text = TEXT.replace('evaluation:', 'evaluation:\n  greedy: false');
    const withReference = (decoding: string) =>
      changedProfile(
        text,
        'not_comparable',
        `reference: {family: t5, decoding: ${decoding}}\nnot_comparable`,
      );
    expect(configErrorOf(() => resolveProfile(withReference('greedy'))).message).toMatch(
      /profile\.yaml:\d+:.*reference\.decoding: nothing is decoded greedily; set evaluation\.greedy/,
    );
    expect(resolveProfile(withReference('sampled')).config.reference).toMatchObject({ decoding: 'sampled' });
  });

  test('a primary comparison needs a tuning set', () => {
    const start = TEXT.indexOf('tuning:\n');
    const tuning = TEXT.slice(start, TEXT.indexOf('not_comparable'));
    expect(errorOf(tuning, '')).toMatch(/there is no `tuning`/);
  });
});

describe('a profile that extends another', () => {
  const BASE = path.resolve(TINY_PROFILE);
  const extended = (text: string) =>
    resolveProfile(path.join(workspace({ 'profile.yaml': `extends: ${BASE}\n${text}` }), 'profile.yaml'));

  test('says what is different, and finds the run where the other file names it', () => {
    const { config, run } = extended(`name: other
set: {data.tuning.limit: 4}
reference: {family: t5}
tables:
  beta: null
  instruct: {title: Renamed, rows: {jsd: null, ammd: {label: Ours}}}
  tasks: {title: A task, data: [seen], rows: {ammd: {stage: ammd, group: ours}}}
`);
    expect(config).toMatchObject({ name: 'other', title: 'Tiny models on the built-in tasks' });
    expect(config.reference).toMatchObject({ family: 't5', decoding: 'sampled' });
    expect(run.data.tuning?.limit).toBe(4);
    expect(Object.keys(config.tables)).toEqual(['instruct', 'tasks']);
    expect(config.tables.instruct).toMatchObject({ title: 'Renamed', data: ['seen'] });
    expect(Object.values(config.tables.instruct?.rows ?? {}).map(({ label }) => label)).toEqual([
      'Teacher',
      'Ours',
    ]);
  });

  test('sets null where it says null, also over what the other file sets', () => {
    expect(extended('set: {data.tuning.limit: null}').run.data.tuning?.limit).toBeNull();
  });

  test('has its mistakes told where they are written', () => {
    expect(configErrorOf(() => extended('tables: {instruct: {data: [sene]}}')).message).toMatch(
      /profile\.yaml:2:.*tables\.instruct\.data\.0: unknown dataset "sene"/,
    );
  });
});

test.each(shippedConfigs('reproduce'))('profile %s resolves, every row of it', (name) => {
  const { config, missing } = resolveProfile(name);
  expect(config.name).toBe(name);
  expect(Object.keys(config.tables)).toContain(name.startsWith('t5-') ? 'tasks' : 'instruct');
  expect(missing.every(({ message }) => message.startsWith('no such file'))).toBe(true);
});
