import { describe, expect, test } from '@jest/globals';
import type { TableConfig } from '../../../ts/config/schema.js';
import { type Job, seedsOf, tableId, tableJobs, tuningJobs } from '../../../ts/reproduce/plan.js';
import { tinyProfile } from './scene.js';

const asIs = (source: string) => source;

function tableOf(profile = tinyProfile(), name: 'instruct' | 'beta' = 'instruct'): TableConfig {
  const table = profile.config.tables[name];
  if (table === undefined) throw new Error(`no table ${name}`);
  return table;
}

function planned(overrides: readonly string[] = [], choices: readonly [string, number][] = []) {
  const profile = tinyProfile(...overrides);
  return tableJobs(profile, tableOf(profile), seedsOf(profile), new Map(choices), asIs);
}

const named = ({ row, seed }: Job) => `${row} ${seed}`;
const hashes = (jobs: readonly Job[]) => new Map(jobs.map((job) => [named(job), job.stored.hash]));

describe('the students of a table', () => {
  test('the teacher once, every other row with each seed, seed by seed', () => {
    expect(planned().map(named)).toEqual(['teacher 3', 'jsd 5', 'ammd 5', 'jsd 6', 'ammd 6']);
    const profile = tinyProfile();
    expect(seedsOf(profile, 4)).toEqual([5, 6, 7, 8]);
  });

  test('are evaluated on the test sets alone, with every decoding', () => {
    for (const { evaluation } of planned())
      expect(evaluation).toMatchObject({ greedy: true, seeds: [10, 20], rows: 6, metrics: ['exact_match'] });
    expect(planned().map(({ evaluation }) => Object.keys(evaluation.datasets))).toEqual(
      Array.from({ length: 5 }, () => ['seen']),
    );
  });

  test('share the teacher that the table shows', () => {
    const jobs = planned();
    const [teacher, ...others] = jobs;
    for (const { stored } of others)
      expect(stored.parents.map(({ hash }) => hash)).toEqual([teacher?.stored.hash]);
  });

  test('of one seed are one stage by name, so that they draw the same rows', () => {
    expect(
      new Set(
        planned()
          .slice(1)
          .map(({ stored }) => stored.name),
      ),
    ).toEqual(new Set(['student']));
  });

  test('a changed learning rate changes its own row, and nothing else', () => {
    const before = hashes(planned());
    const after = hashes(planned(['stages.jsd.training.lr.from=3e-3']));
    const changed = [...before.keys()].filter((key) => before.get(key) !== after.get(key));
    expect(changed).toEqual(['jsd 5', 'jsd 6']);
  });

  test('a changed teacher changes every row', () => {
    const before = hashes(planned());
    const after = hashes(planned(['stages.teacher.training.steps=7']));
    expect([...before.keys()].filter((key) => before.get(key) === after.get(key))).toEqual([]);
  });

  test('how they are evaluated changes no training', () => {
    const before = hashes(planned());
    expect(hashes(planned(['data.seen.limit=5']))).toEqual(before);
  });

  test('a chosen value is that of its row', () => {
    const jobs = planned([], [['ammd', 4e-3]]);
    const lr = (job: Job) => job.run.stages[job.stage]?.training.lr;
    expect(jobs.map((job) => job.value)).toEqual([null, null, 4e-3, null, 4e-3]);
    expect(lr(jobs[2] as Job)).toMatchObject({ from: 4e-3, to: 1e-5 });
    expect(lr(jobs[1] as Job)).toMatchObject({ from: 2e-3 });
  });
});

describe('the students that a setting is chosen with', () => {
  test('each tuned row with each value and the tuning seed, on the tuning set alone', () => {
    const profile = tinyProfile();
    const jobs = tuningJobs(profile, tableOf(profile), asIs);
    expect(jobs.map(({ row, value, seed }) => [row, value, seed])).toEqual([
      ['jsd', 1e-3, 1],
      ['jsd', 4e-3, 1],
      ['ammd', 1e-3, 1],
      ['ammd', 4e-3, 1],
    ]);
    for (const { evaluation } of jobs) expect(Object.keys(evaluation.datasets)).toEqual(['tuning']);
  });

  test('a baseline that is not tuned gets a figure as it is written, since it may be compared with', () => {
    const profile = tinyProfile();
    const table = tableOf(profile);
    const untuned = Object.entries(table.rows).map(([id, row]) => [id, { ...row, tune: false }] as const);
    const jobs = tuningJobs(profile, { ...table, rows: Object.fromEntries(untuned) }, asIs);
    expect(jobs.map(({ row, value, seed }) => [row, value, seed])).toEqual([['jsd', null, 1]]);
  });

  test('none in a table whose rows are as written', () => {
    const profile = tinyProfile();
    expect(tuningJobs(profile, tableOf(profile, 'beta'), asIs)).toEqual([]);
  });
});

test('a table with other seeds or settings than the profile has goes elsewhere', () => {
  expect(tableId(tinyProfile(), 'beta')).toBe('beta');
  expect(tableId(tinyProfile(), 'beta', 2)).toBe('beta');
  expect(tableId(tinyProfile(), 'beta', 3)).toBe('beta-3-seeds');
  const tried = tableId(tinyProfile('seed=4'), 'beta');
  expect(tried).toMatch(/^beta-[0-9a-f]{8}$/);
  expect(tableId(tinyProfile('seed=5'), 'beta')).not.toBe(tried);
});

test('tables share what they have in common', () => {
  const profile = tinyProfile();
  const beta = tableJobs(profile, tableOf(profile, 'beta'), seedsOf(profile), new Map(), asIs);
  expect(beta[0]?.stored.parents[0]?.hash).toBe(planned()[0]?.stored.hash);
});
