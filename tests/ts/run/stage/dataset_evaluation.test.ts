import { describe, expect, test } from '@jest/globals';
import { sampling as samplingSchema } from '../../../../ts/config/schema.js';
import { bleuScores } from '../../../../ts/metrics/corpus_bleu.js';
import {
  type DatasetEvaluation,
  decodingsOf,
  describeDecoding,
  evaluateDataset,
  glanceOf,
} from '../../../../ts/run/stage/dataset_evaluation.js';
import { bleuCase } from '../../../fixtures/bleu/bleu.js';
import { ScriptedClient } from '../scripted_client.js';

test('greedy comes first, then one decoding a seed', () => {
  const decodings = decodingsOf({ greedy: true, seeds: [10, 20] });
  expect(decodings.map(describeDecoding)).toEqual(['greedy', 'sampled, seed 10', 'sampled, seed 20']);
  expect(decodingsOf({ greedy: false, seeds: [10] })).toEqual([{ decoding: 'sampled', seed: 10 }]);
  expect(decodingsOf({ greedy: false, seeds: [] })).toEqual([]);
});

test('a glance is the first seed, else greedy, else nothing', () => {
  expect(glanceOf({ greedy: true, seeds: [10, 20] })).toEqual({ decoding: 'sampled', seed: 10 });
  expect(glanceOf({ greedy: true, seeds: [] })).toEqual({ decoding: 'greedy', seed: null });
  expect(glanceOf({ greedy: false, seeds: [] })).toBeUndefined();
});

describe('BLEU', () => {
  const { statistics, bleu } = bleuCase('many rows, brevity penalty');

  const evaluated = (rows: number, changes: Partial<DatasetEvaluation> = {}) => {
    const client = new ScriptedClient();
    client.bleu = (row) => statistics[row] ?? [];
    client.score = (_version, _dataset, row) => row;
    const evaluation: DatasetEvaluation = {
      about: { stage: 'student', step: 0, final: true },
      dataset: 'seen',
      rows,
      decoding: { decoding: 'greedy', seed: null },
      metrics: ['bleu', 'exact_match'],
      sampling: samplingSchema.parse({}),
      texts: 0,
      keepScores: true,
      ...changes,
    };
    return evaluateDataset(client, evaluation).then((done) => ({ client, rows: done.rows }));
  };

  test('is of all rows together, whatever requests they came in', async () => {
    const { client, rows } = await evaluated(300);
    expect(client.argsOf('evaluate').map((args) => args.rows.length)).toEqual([128, 128, 44]);
    const [row, exactMatch] = rows;
    expect(exactMatch).toMatchObject({ metric: 'exact_match', mean: 149.5 });
    expect(exactMatch).not.toHaveProperty('statistics');
    expect(row).toMatchObject({ metric: 'bleu', mean: expect.closeTo(bleu, 9), rows: 300, statistics });
    expect(row?.scores).toEqual(bleuScores(statistics));
  });

  test('stands where the configuration names it', async () => {
    const order = async (metrics: readonly string[]) =>
      (await evaluated(1, { metrics })).rows.map(({ metric }) => metric);
    for (const metrics of [
      ['bleu', 'rouge_l', 'exact_match'],
      ['rouge_l', 'bleu', 'exact_match'],
    ])
      expect(await order(metrics)).toEqual(metrics);
  });

  test('of some rows is that of these alone', async () => {
    const { rows } = await evaluated(5);
    expect(rows[0]?.scores).toEqual(bleuScores(statistics.slice(0, 5)));
    expect(rows[0]?.statistics).toEqual(statistics.slice(0, 5));
  });

  test('leaves its rows out where no scores are kept', async () => {
    const { rows } = await evaluated(300, { keepScores: false });
    expect(rows[0]?.mean).toBeCloseTo(bleu, 9);
    expect(Object.keys(rows[0] ?? {})).not.toEqual(expect.arrayContaining(['scores']));
    expect(Object.keys(rows[0] ?? {})).not.toEqual(expect.arrayContaining(['statistics']));
  });
});
