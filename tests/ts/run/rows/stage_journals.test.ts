import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from '@jest/globals';
import type { RunEvent } from '../../../../ts/metrics/events.js';
import { StageFolder } from '../../../../ts/run/folder/run_folder.js';
import { NO_ROWS, StageJournals } from '../../../../ts/run/rows/stage_journals.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';
import { makeEvaluation, makeSample, makeStep } from '../../metrics/make_rows.js';

let folder = new StageFolder('');
let events: RunEvent[] = [];
beforeEach(() => {
  folder = new StageFolder(temporaryFolder()).make();
  events = [];
});

const open = (offsets = NO_ROWS) => StageJournals.open(folder, offsets, 0, (event) => events.push(event));
const lines = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n').length;

test('each kind of row has its file, and is an event', async () => {
  const journals = await open();
  const rows = [makeStep({ step: 1 }), makeEvaluation(), makeSample()];
  for (const row of rows) journals.append(row);
  journals.close();
  expect([folder.metrics, folder.evaluations, folder.samples].map(lines)).toEqual([1, 1, 1]);
  expect(events).toEqual(rows);
  expect(readdirSync(folder.tensorboard)).toHaveLength(1);
});

test('offsets say where the files stand; opened there again, what came after is gone', async () => {
  const journals = await open();
  journals.append(makeStep({ step: 1 }));
  const offsets = journals.flush();
  expect(offsets).toEqual({ metrics: readFileSync(folder.metrics).length, evaluations: 0, samples: 0 });
  journals.append(makeStep({ step: 2 }));
  journals.append(makeEvaluation());
  journals.close();
  (await open(offsets)).close();
  expect(lines(folder.metrics)).toBe(1);
  expect(readFileSync(folder.evaluations, 'utf8')).toBe('');
  expect(existsSync(folder.samples)).toBe(true);
});

test('opened again, TensorBoard has what it had: evaluations between the steps that they were made between', async () => {
  const journals = await open();
  const evaluation = (step: number) => makeEvaluation({ step, final: false });
  const seconds = { total: 1 };
  const rows = [
    ...[evaluation(0), makeStep({ step: 1, seconds }), makeStep({ step: 2, seconds })],
    ...[evaluation(2), makeStep({ step: 3, seconds }), evaluation(3), { ...evaluation(3), seed: 20 }],
  ];
  for (const row of rows) journals.append(row);
  const [name = ''] = readdirSync(folder.tensorboard);
  const drawn = () => readFileSync(join(folder.tensorboard, name));
  const before = drawn();
  const offsets = journals.flush();
  journals.close();
  (await open(offsets)).close();
  expect(drawn()).toEqual(before);
});

test('opening a long stage lets other work go on', async () => {
  const journals = await open();
  for (let step = 1; step <= 3000; step += 1) journals.append(makeStep({ step }));
  const offsets = journals.flush();
  journals.close();
  let [turns, opened] = [0, false];
  const turn = (): void => {
    turns += 1;
    if (!opened) setImmediate(turn);
  };
  setImmediate(turn);
  (await open(offsets)).close();
  opened = true;
  expect(turns).toBeGreaterThan(1);
});
