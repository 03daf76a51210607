import { expect, test } from '@jest/globals';
import type { TableConfig } from '../../../ts/config/schema.js';
import type { EvaluationRow } from '../../../ts/metrics/rows.js';
import { resolveProfile } from '../../../ts/reproduce/profile.js';
import { type StudentResult, tableFile } from '../../../ts/reproduce/table.js';
import { makeEvaluation } from '../metrics/make_rows.js';

const SEEDS = [101, 102, 103, 104, 105];

/** Five students of a row on SAMSum, greedily about `level` and sampled below it. */
function students(row: string, level: number): readonly StudentResult[] {
  return SEEDS.map((seed, at) => {
    const evaluation = (decoding: EvaluationRow['decoding'], mean: number) => {
      const scores = [mean - 1, mean + 1];
      const about = { stage: 'student', dataset: 'samsum', metric: 'rouge_l', decoding, final: true };
      return makeEvaluation({ ...about, seed: decoding === 'greedy' ? null : 10, scores, rows: 2, mean });
    };
    const evaluations = [evaluation('greedy', level + at / 4), evaluation('sampled', level - 10 + at / 4)];
    const place = { row, seed, folder: 'f', stage: 'student' };
    return { row, seed, evaluations, tokens: 1, seconds: 1, place };
  });
}

function tasks(incomparable: string | null, changes: Partial<TableConfig> = {}) {
  const { config } = resolveProfile('t5-samsum');
  const table = config.tables.tasks;
  if (table === undefined) throw new Error('the profile has the table');
  return tableFile({
    profile: { ...config, not_comparable: incomparable },
    name: 'tasks',
    table: { ...table, ...changes },
    seeds: SEEDS,
    tuned: { choices: new Map(), figures: new Map([['distillm-skl', 50]]) },
    results: [...students('distillm-skl', 45), ...students('ammd', 52.3)],
    protocol: [],
  });
}

test('a table of a task compares with its primary row, and with the reference, as it is decoded there', () => {
  const file = tasks(null);
  expect(file).toMatchObject({ table: 'tasks', metric: 'rouge_l' });
  expect(file.columns.map(({ dataset, decoding }) => [dataset, decoding])).toEqual([
    ['samsum', 'greedy'],
    ['samsum', 'sampled'],
  ]);
  const cells = new Map(file.rows.map(({ id, cells: [greedy, sampled] }) => [id, { sampled, greedy }]));
  expect(cells.get('ammd')).toMatchObject({
    sampled: { reference: null, verdict: 'not_comparable' },
    greedy: { reference: { value: 52.7 }, verdict: 'reproduced' },
  });
  expect(cells.get('distillm-skl')?.greedy).toMatchObject({ reference: { value: 52.1 }, verdict: 'differs' });
  expect(cells.get('kd')).toEqual({ sampled: null, greedy: null });
  expect(file.primary).toMatchObject({ row: 'ammd', against: 'distillm-skl', column: 0 });
});

test.each([[null], [{ row: 'ammd', data: 'samsum', decoding: 'sampled' as const }]])(
  'sampled figures come first where the primary comparison is %j',
  (primary) => {
    const { columns } = tasks(null, { primary });
    expect(columns.map(({ decoding }) => decoding)).toEqual(['sampled', 'greedy']);
  },
);

test('the best of three students is no measure of the smallest, until the profile says so', () => {
  const { config } = resolveProfile('t5-samsum');
  const greedy = tasks(config.not_comparable).rows.find(({ id }) => id === 'ammd')?.cells[0];
  expect(greedy).toMatchObject({ reference: { value: 52.7 }, verdict: 'not_comparable' });
});
