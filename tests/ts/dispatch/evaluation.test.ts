import { expect, test } from '@jest/globals';
import { sampling as samplingSchema } from '../../../ts/config/schema.js';
import { evaluateRows, measureRows } from '../../../ts/dispatch/evaluation.js';
import { failWith, ScriptedClient } from '../run/scripted_client.js';

const sampling = samplingSchema.parse({});
const rows = (count: number) => Array.from({ length: count }, (_, row) => row);
const ARGS = { role: 'student', dataset: 'seen', sampling, seed: 1, metrics: ['exact_match'] } as const;

/** Scores that tell the rows apart. */
function numbered(): ScriptedClient {
  const client = new ScriptedClient();
  client.score = (_version, _dataset, row) => row;
  return client;
}

test('rows go in shards of 128 and come back as one, in order', async () => {
  const client = numbered();
  const done: number[] = [];
  const result = await evaluateRows(
    client,
    { ...ARGS, metrics: ['exact_match'], rows: rows(300), texts: 3 },
    { onRows: (count) => done.push(count) },
  );
  expect(client.argsOf('evaluate').map((args) => args.rows.length)).toEqual([128, 128, 44]);
  expect(done).toEqual([128, 256, 300]);
  expect(result.scores).toEqual({ exact_match: rows(300) });
  expect(result).toMatchObject({ ended: 300, tokens: 1200 });
  expect(result.texts.map(({ row }) => row)).toEqual([0, 1, 2]);
});

test('statistics of rows are joined as they are', async () => {
  const client = numbered();
  client.bleu = (row) => [row, 1, 0, 0, 0, 0, 4, 3, 2, 1];
  const result = await evaluateRows(client, { ...ARGS, metrics: ['bleu'], rows: rows(130), texts: 0 });
  expect(result.scores).toEqual({});
  expect(result.statistics).toEqual({ bleu: rows(130).map(client.bleu) });
});

test.each([
  [0, [0, 0]],
  [128, [128, 0]],
  [130, [128, 2]],
])('%i texts are those of the first rows', async (texts, shards) => {
  const client = numbered();
  await evaluateRows(client, { ...ARGS, metrics: [], rows: rows(150), texts });
  expect(client.argsOf('evaluate').map((args) => args.texts)).toEqual(shards);
});

test('no rows, no requests', async () => {
  const client = numbered();
  const result = await evaluateRows(client, { ...ARGS, metrics: [], rows: [], texts: 0 });
  expect(client.requests).toHaveLength(0);
  expect(result).toEqual({ scores: {}, statistics: {}, ended: 0, tokens: 0, texts: [] });
});

test('measured values are joined the same way', async () => {
  const client = numbered();
  const done: number[] = [];
  const measured = await measureRows(
    client,
    { role: 'student', dataset: 'seen', rows: rows(130), metrics: ['forward_kl'], micro_batch: 8 },
    { onRows: (count) => done.push(count) },
  );
  expect(measured.values).toEqual({ forward_kl: rows(130) });
  expect(measured.tokens).toHaveLength(130);
  expect(done).toEqual([128, 130]);
});

test('the first failure is the outcome', async () => {
  const client = numbered().before('evaluate', 2, failWith('out_of_memory', 'no room'));
  await expect(
    evaluateRows(client, { ...ARGS, metrics: [], rows: rows(400), texts: 0 }),
  ).rejects.toMatchObject({ code: 'out_of_memory' });
});

test('a signal cancels what has not been answered', async () => {
  const stop = new AbortController();
  const client = numbered().before('evaluate', 2, () => stop.abort());
  const done: number[] = [];
  await expect(
    evaluateRows(
      client,
      { ...ARGS, metrics: [], rows: rows(400), texts: 0 },
      { onRows: (count) => done.push(count), signal: stop.signal },
    ),
  ).rejects.toMatchObject({ code: 'cancelled' });
  await client.idle();
  expect(done).toEqual([128]);
});
