import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { beforeEach, expect, test } from '@jest/globals';
import type { RunEvent } from '../../../ts/metrics/events.js';
import { StageFolder } from '../../../ts/run/run_folder.js';
import { NO_ROWS, StageJournals } from '../../../ts/run/stage_journals.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';
import { makeEvaluation, makeSample, makeStep } from '../metrics/make_rows.js';

let folder = new StageFolder('');
let events: RunEvent[] = [];
beforeEach(() => {
  folder = new StageFolder(temporaryFolder()).make();
  events = [];
});

const open = (offsets = NO_ROWS) => new StageJournals(folder, offsets, 0, (event) => events.push(event));
const lines = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n').length;

test('each kind of row has its file, and is an event', () => {
  const journals = open();
  const rows = [makeStep({ step: 1 }), makeEvaluation(), makeSample()];
  for (const row of rows) journals.append(row);
  journals.close();
  expect([folder.metrics, folder.evaluations, folder.samples].map(lines)).toEqual([1, 1, 1]);
  expect(events).toEqual(rows);
  expect(readdirSync(folder.tensorboard)).toHaveLength(1);
});

test('offsets say where the files stand; opened there again, what came after is gone', () => {
  const journals = open();
  journals.append(makeStep({ step: 1 }));
  const offsets = journals.flush();
  expect(offsets).toEqual({ metrics: readFileSync(folder.metrics).length, evaluations: 0, samples: 0 });
  journals.append(makeStep({ step: 2 }));
  journals.append(makeEvaluation());
  journals.close();
  open(offsets).close();
  expect(lines(folder.metrics)).toBe(1);
  expect(readFileSync(folder.evaluations, 'utf8')).toBe('');
  expect(existsSync(folder.samples)).toBe(true);
});
