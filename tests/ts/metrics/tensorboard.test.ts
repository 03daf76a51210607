import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { scalarsOf, TensorBoard } from '../../../ts/metrics/tensorboard.js';
import { makeEvaluation, makeStep } from './make_rows.js';

/** What TensorBoard itself finds: tag → [step, value, wall time] of each point. It checks every CRC. */
const READER = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0}).Reload()
tags = events.Tags()["scalars"]
print(json.dumps({tag: [[e.step, e.value, e.wall_time] for e in events.Scalars(tag)] for tag in tags}))
`;
type Scalars = Record<string, readonly (readonly [number, number, number])[]>;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ammd-tensorboard-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function readBack(): Scalars {
  const python = process.env.AMMD_WORKER_PYTHON ?? join('.venv', 'bin', 'python');
  const output = execFileSync(python, ['-c', READER, folder], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return JSON.parse(output) as Scalars;
}

test('TensorBoard reads what was written: tags, steps, figures, times', () => {
  const board = TensorBoard.open(folder, 1_700_000_000.5);
  board.append(makeStep({ step: 1, metrics: { 'loss/ä': 0.25, tightness: null }, seconds: { total: 2 } }));
  board.append(makeStep({ step: 200, metrics: { 'loss/ä': -1e-3 }, seconds: { total: 3 } }));
  board.append(makeEvaluation({ step: 2 ** 40, mean: 12.5 }));
  board.append(makeEvaluation({ step: 2 ** 40, mean: 7, decoding: 'greedy', seed: null }));
  board.close();
  const scalars = readBack();
  expect(scalars['train/loss/ä']).toEqual([
    [1, 0.25, 1_700_000_002.5],
    [200, Math.fround(-1e-3), 1_700_000_005.5],
  ]);
  expect(scalars['evaluation/seen/exact_match/sampled/seed_10']).toEqual([[2 ** 40, 12.5, 1_700_000_005.5]]);
  expect(scalars['evaluation/seen/exact_match/greedy']).toEqual([[2 ** 40, 7, 1_700_000_005.5]]);
  expect(scalars['schedule/lr']).toHaveLength(2);
  expect(scalars).not.toHaveProperty('train/tightness');
  expect(scalars).not.toHaveProperty('schedule/critic_lr');
});

test('a message longer than one byte of length is framed right', () => {
  const names = Array.from({ length: 300 }, (_, index) => `critic/on/value_${index}`);
  const board = TensorBoard.open(folder, 0);
  board.append(makeStep({ metrics: Object.fromEntries(names.map((name, index) => [name, index])) }));
  board.close();
  const scalars = readBack();
  expect(names.map((name) => scalars[`train/${name}`]?.[0]?.[1])).toEqual(names.map((_, index) => index));
});

test('opening again replaces the files', () => {
  const rows = [1, 2, 3].map((step) => makeStep({ step, metrics: { loss: step }, seconds: { total: 1 } }));
  const first = TensorBoard.open(folder, 100);
  for (const row of rows) first.append(row);
  first.close();
  writeFileSync(join(folder, 'notes.txt'), 'kept');
  const resumed = TensorBoard.open(folder, 200);
  for (const row of rows.slice(0, 2)) resumed.append(row);
  resumed.append(makeStep({ step: 3, metrics: { loss: 33 }, seconds: { total: 1 } }));
  resumed.close();
  expect(readdirSync(folder).sort()).toEqual(['events.out.tfevents.0000000200.ammd', 'notes.txt']);
  expect(readBack()['train/loss']).toEqual([
    [1, 1, 201],
    [2, 2, 202],
    [3, 33, 203],
  ]);
});

test('scalars of a row: no point for null, figures of tokens, seconds and schedules beside the metrics', () => {
  const scalars = scalarsOf(makeStep({ metrics: { loss: 1, gap: null }, critic_lr: 0.5, lr: 0.25 }));
  expect(scalars.get('train/loss')).toBe(1);
  expect(scalars.get('schedule/critic_lr')).toBe(0.5);
  expect(scalars.get('tokens/generated')).toBe(6);
  expect(scalars.has('train/gap')).toBe(false);
});
