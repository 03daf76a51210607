import { describe, expect, test } from '@jest/globals';
import type { EvaluationRow } from '../../../../ts/metrics/rows.js';
import { metricTitle } from '../../../../ts/report/formats/metric_titles.js';
import type { Table } from '../../../../ts/report/formats/table.js';
import type { RunData, StageData } from '../../../../ts/report/read/run.js';
import {
  comparisonTables,
  measureTables,
  scoreTables,
  trainingTable,
} from '../../../../ts/report/run/result_tables.js';
import { computeResults, type Results } from '../../../../ts/report/run/results.js';
import { makeEvaluation, makeStep } from '../../metrics/make_rows.js';
import { makeStage, type StageChange } from '../make_run.js';

function stage(name: string, evaluations: readonly EvaluationRow[], change: StageChange = {}): StageData {
  const rows = evaluations.map((row) => ({ ...row, stage: name }));
  return makeStage({ name, method: name, ...change, evaluations: rows });
}

function results(...stages: StageData[]): Results {
  const run: RunData = { name: 'run', folder: '/run', stages, config: null, manifest: null };
  return computeResults(run);
}

const cells = (table: Table | undefined): string[][] =>
  table?.rows.map((row) =>
    row.map((it) => `${it.strong === true ? '*' : ''}${it.text}${it.detail ? ` (${it.detail})` : ''}`),
  ) ?? [];

const greedy = { decoding: 'greedy', seed: null } as const;

describe('scores', () => {
  const main = results(
    stage('teacher', [makeEvaluation({ mean: 90 })], { teaches: true }),
    stage('sft', [
      makeEvaluation({ mean: 20 }),
      makeEvaluation({ mean: 30, seed: 20 }),
      makeEvaluation({ mean: 33, ...greedy }),
      makeEvaluation({ mean: 8, dataset: 'longer' }),
      makeEvaluation({ mean: 99, final: false, step: 5 }),
    ]),
    stage('ammd', [makeEvaluation({ mean: 28 }), makeEvaluation({ mean: 5, dataset: 'longer' })]),
    stage('later', []),
  );

  test('mean ± standard deviation with greedy beside; the teacher competes with nobody', () => {
    const [table, ...others] = scoreTables(main);
    expect(others).toEqual([]);
    expect(table?.title).toBe('Exact match');
    expect(table?.columns.map(({ label }) => label)).toEqual(['stage', 'method', 'seen', 'longer']);
    expect(cells(table)).toEqual([
      ['teacher', 'teacher (teacher)', '90.0', '–'],
      ['sft', 'sft', '25.0 ± 7.1 (33.0)', '*8.0'],
      ['ammd', 'ammd', '*28.0', '5.0'],
    ]);
    expect(table?.note).toMatch(/over 2 decoding seeds; greedy decoding in parentheses\. 2 rows/);
  });

  test('what a stage started from has a row of its own and competes with nobody', () => {
    const before = makeEvaluation({ mean: 50, step: 0, final: false, scores: [50, 50] });
    const glance = makeEvaluation({ mean: 77, step: 5, final: false, dataset: 'validation' });
    const [table] = scoreTables(
      results(
        stage('sft', [makeEvaluation({ mean: 20 })]),
        stage('ammd', [before, glance, makeEvaluation({ mean: 30, scores: [30, 30] })]),
      ),
    );
    expect(cells(table)).toEqual([
      ['sft', 'sft', '20.0'],
      ['ammd, step 0', 'ammd', '50.0'],
      ['ammd', 'ammd', '*30.0'],
    ]);
  });

  test('equals share the mark, unless all are equal', () => {
    const [table] = scoreTables(
      results(
        stage('a', [makeEvaluation({ mean: 7 }), makeEvaluation({ mean: 0, dataset: 'longer' })]),
        stage('b', [makeEvaluation({ mean: 7 }), makeEvaluation({ mean: 0, dataset: 'longer' })]),
        stage('c', [makeEvaluation({ mean: 6 }), makeEvaluation({ mean: 0, dataset: 'longer' })]),
      ),
    );
    expect(cells(table).map((row) => row.slice(2))).toEqual([
      ['*7.0', '0.0'],
      ['*7.0', '0.0'],
      ['6.0', '0.0'],
    ]);
  });

  test('the set that checkpoints are chosen on comes last and is named as such', () => {
    const evaluations = [makeEvaluation({ dataset: 'held_out' }), makeEvaluation({ dataset: 'seen' })];
    const [table] = scoreTables(results(stage('sft', evaluations, { validation: 'held_out' })));
    expect(table?.columns.map(({ label }) => label).slice(2)).toEqual(['seen', 'held_out (validation)']);
  });

  test('greedy alone is named as such, and one student is not the best of anything', () => {
    const [table] = scoreTables(results(stage('sft', [makeEvaluation({ mean: 20, ...greedy })])));
    expect(cells(table)).toEqual([['sft', 'sft', '20.0']]);
    expect(table?.note).toMatch(/^Greedy decoding\. 2 rows/);
    expect(table?.note).not.toMatch(/best/);
  });

  test('one table for each metric', () => {
    const titles = scoreTables(
      results(stage('a', [makeEvaluation(), makeEvaluation({ metric: 'rouge_l' })])),
    );
    expect(titles.map(({ title }) => title)).toEqual(['Exact match', 'ROUGE-L']);
    expect(metricTitle('new_metric')).toBe('new metric');
  });
});

test('teacher-forced figures have a table of their own', () => {
  const forced = { decoding: 'teacher_forced', seed: null, dataset: 'validation' } as const;
  const [table] = measureTables(
    results(
      stage('start', [makeEvaluation({ ...forced, metric: 'cross_entropy', mean: 1.23456 })]),
      stage('kd', [
        makeEvaluation({ ...forced, metric: 'cross_entropy', mean: 1 }),
        makeEvaluation({ ...forced, metric: 'forward_kl', mean: 0.5 }),
      ]),
    ),
  );
  expect(table?.title).toBe('On the responses of validation');
  expect(cells(table)).toEqual([
    ['start', 'start', '1.235', '–'],
    ['kd', 'kd', '1', '0.5'],
  ]);
});

test('comparisons: the last stage with scores minus the others, marked where 0 is outside', () => {
  const [table] = comparisonTables(
    results(
      stage('sft', [makeEvaluation({ scores: [0, 10, 20, 30] })]),
      stage('kd', [makeEvaluation({ scores: [11, 9, 21, 29] })]),
      stage('ammd', [makeEvaluation({ scores: [10, 20, 30, 40] })]),
      stage('later', []),
    ),
  );
  expect(table?.title).toBe('ammd minus the others: Exact match, sampled');
  expect(cells(table)[0]).toEqual(['sft', '*+10.0 (+10.0 to +10.0)']);
  expect(cells(table)[1]?.[1]).toMatch(/^\*?\+7\.5 \(/);
});

test('a comparison that is missing on one set leaves a dash', () => {
  const longer = { dataset: 'longer', scores: [1, 2] };
  const [table] = comparisonTables(
    results(
      stage('sft', [makeEvaluation({ scores: [0, 1] })]),
      stage('kd', [makeEvaluation({ scores: [0, 1] }), makeEvaluation(longer)]),
      stage('ammd', [makeEvaluation({ scores: [0, 1] }), makeEvaluation(longer)]),
    ),
  );
  expect(cells(table)).toEqual([
    ['sft', '0.0 (0.0 to 0.0)', '–'],
    ['kd', '0.0 (0.0 to 0.0)', '0.0 (0.0 to 0.0)'],
  ]);
});

test('training: steps, time, speeds and what is not computation', () => {
  const steps = [makeStep({ seconds: { student: 3, wire: 0.5, idle: 0.5, total: 4 } })];
  const table = trainingTable(
    results(stage('a', [], { steps, done: false }), stage('b', [], { method: null, done: false })),
  );
  expect(cells(table)).toEqual([
    ['a', 'a', '1 so far', '20', '12', '6', '4 s', '5', '–', '25.0 %'],
    ['b', '–', '0', '–', '–', '–', '–', '–', '–', '–'],
  ]);
});
