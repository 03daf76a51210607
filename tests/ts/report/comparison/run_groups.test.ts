import { describe, expect, test } from '@jest/globals';
import { seriesOfGroups } from '../../../../ts/report/comparison/compared_series.js';
import { groupRuns, seedsOf } from '../../../../ts/report/comparison/run_groups.js';
import type { RunData } from '../../../../ts/report/read/run.js';
import { makeRun, makeStage } from '../make_run.js';

const labels = (...runs: readonly RunData[]) => groupRuns(runs).map((group) => [group.label, seedsOf(group)]);

describe('groups', () => {
  test('are of runs that differ in nothing but the seed', () => {
    expect(
      labels(
        makeRun({ name: 'a', seed: 1, settings: { lr: 1 } }),
        makeRun({ name: 'b', seed: 1, settings: { lr: 2 } }),
        makeRun({ name: 'a', seed: 2, settings: { lr: 1 } }),
      ),
    ).toEqual([
      ['a', '1, 2'],
      ['b', '1'],
    ]);
  });

  test('names, devices, trackers and time limits make no difference', () => {
    const other = { worker: { device: 'cuda' }, tracking: { wandb: {} }, max_hours: 3 };
    expect(
      labels(
        makeRun({ name: 'kd-seed-1', seed: 1 }),
        makeRun({ name: 'kd-seed-2', seed: 2, settings: other }),
      ),
    ).toEqual([['kd', '1, 2']]);
  });

  test('students of one set of kept responses are one group, that of its seed among them', () => {
    const of = (sources: object) => ({ data: { train: { sources } } });
    const runs = [
      makeRun({ name: 'seqkd', seed: 7, settings: of({ off: { from: 'teacher' } }) }),
      makeRun({ name: 'seqkd', seed: 8, settings: of({ off: { from: 'teacher', responses_seed: 7 } }) }),
      makeRun({ name: 'seqkd', seed: 9, settings: of({ off: { from: 'student' } }) }),
    ];
    expect(groupRuns(runs).map((group) => group.runs.length)).toEqual([2, 1]);
  });

  test('a run given twice tells nothing of the spread over seeds', () => {
    const runs = [1, 1, 2].map((seed) => makeRun({ name: 'a', seed, folder: `/runs/${seed}` }));
    expect(groupRuns(runs).map((group) => group.runs.length)).toEqual([2, 1]);
  });

  test('runs without a configuration are alone', () => {
    const bare = ['x', 'y'].map((name) => ({ ...makeRun({ name }), config: null }));
    expect(labels(...bare)).toEqual([
      ['x', '–'],
      ['y', '–'],
    ]);
  });

  test('of one name are told apart by method, then by folder', () => {
    const run = (method: string, folder: string, lr: number): RunData =>
      makeRun({ name: 'student', folder, settings: { lr }, stages: [makeStage({ method })] });
    expect(labels(run('kd', '/s/1', 1), run('sft', '/s/2', 2)).map(([label]) => label)).toEqual([
      'kd',
      'sft',
    ]);
    expect(labels(run('kd', '/s/1', 1), run('kd', '/s/2', 2)).map(([label]) => label)).toEqual(['1', '2']);
    expect(labels(run('kd', '/s/1', 1), run('kd', '/t/1', 2)).map(([label]) => label)).toEqual([
      's/1',
      't/1',
    ]);
  });
});

describe('series', () => {
  const stages = ['start', 'ammd'].map((name) => makeStage({ name }));
  const names = (...runs: readonly RunData[]): string[] =>
    seriesOfGroups(groupRuns(runs)).map(({ name }) => name);

  test('are named by what tells them apart', () => {
    const other = makeRun({ name: 'b', settings: { lr: 2 }, stages });
    expect(names(makeRun({ name: 'a', stages }), other)).toEqual([
      'a / start',
      'a / ammd',
      'b / start',
      'b / ammd',
    ]);
    expect(names(makeRun({ name: 'a', seed: 1, stages }), makeRun({ name: 'a', seed: 2, stages }))).toEqual([
      'start',
      'ammd',
    ]);
    expect(names(makeRun({ name: 'a' }), makeRun({ name: 'b', settings: { lr: 2 } }))).toEqual(['a', 'b']);
  });

  test('have the stages of all seeds as members', () => {
    const [, ammd] = seriesOfGroups(groupRuns([1, 2, 3].map((seed) => makeRun({ name: 'a', seed, stages }))));
    expect(ammd?.members).toHaveLength(3);
    expect(ammd?.seeds).toEqual([1, 2, 3]);
    expect(ammd?.place).toBe(1);
  });
});
