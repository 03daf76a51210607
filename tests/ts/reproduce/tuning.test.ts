import { expect, test } from '@jest/globals';
import type { EvaluationRow } from '../../../ts/metrics/rows.js';
import { seedsOf, tuningJobs } from '../../../ts/reproduce/plan.js';
import { chooseValues, chosenBy, decodedMean } from '../../../ts/reproduce/tuning.js';
import { tinyProfile } from './scene.js';

const evaluation = (decoding: 'sampled' | 'greedy', seed: number | null, mean: number): EvaluationRow => ({
  kind: 'evaluation',
  stage: 'student',
  step: 0,
  final: true,
  dataset: 'tuning',
  metric: 'exact_match',
  decoding,
  seed,
  mean,
  rows: 8,
  ended: 1,
  mean_length: 3,
  tokens: 24,
});

const profile = tinyProfile();
const table = profile.config.tables.instruct;
if (table === undefined) throw new Error('the profile has the table');
const jobs = tuningJobs(profile, table, (source) => source);

/** Figures in the order of the jobs: two values of jsd, then two of ammd. */
const chosen = (...means: readonly number[]) =>
  chooseValues(
    jobs.map((job, index) => ({ job, evaluations: [evaluation('sampled', 10, means[index] ?? 0)] })),
    { metric: 'exact_match', decoding: 'sampled' },
  );

test('each row gets the value with its best figure', () => {
  const { choices, figures } = chosen(3, 2, 1, 5);
  expect([...choices]).toEqual([
    ['jsd', 1e-3],
    ['ammd', 4e-3],
  ]);
  expect([...figures]).toEqual([
    ['jsd', 3],
    ['ammd', 5],
  ]);
});

test('of equals the first', () => {
  expect(chosen(2, 2, 0, 0).choices).toEqual(
    new Map([
      ['jsd', 1e-3],
      ['ammd', 1e-3],
    ]),
  );
});

test('the figure is the mean over decoding seeds, or the greedy one', () => {
  const rows = [evaluation('greedy', null, 90), evaluation('sampled', 10, 4), evaluation('sampled', 20, 8)];
  const figure = (decoding: 'sampled' | 'greedy', metric = 'exact_match') =>
    decodedMean(rows, { metric, decoding });
  expect(figure('sampled')).toBe(6);
  expect(figure('greedy')).toBe(90);
  expect(() => figure('sampled', 'rouge_l')).toThrow('no sampled rouge_l');
});

test('what is chosen by is what is compared', () => {
  const by = (decoding: 'sampled' | 'greedy' | null) =>
    chosenBy(profile.config, { primary: decoding && { row: 'ammd', data: 'seen', decoding } });
  expect(by('greedy')).toEqual({ metric: 'exact_match', decoding: 'greedy' });
  expect([by('sampled'), by(null)]).toEqual(Array(2).fill({ metric: 'exact_match', decoding: 'sampled' }));
});

test('no seed of the tables is among those of the tuning', () => {
  expect(seedsOf(profile, 1000)).not.toContain(jobs[0]?.seed);
});
