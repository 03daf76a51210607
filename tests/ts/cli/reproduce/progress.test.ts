import { expect, test } from '@jest/globals';
import { jobInWords, openReproductionProgress } from '../../../../ts/cli/reproduce/progress.js';
import type { ReproductionEvent } from '../../../../ts/reproduce/events.js';

const job = { row: 'kd', seed: 7, value: 0.002 };
const EVENTS: readonly ReproductionEvent[] = [
  { kind: 'phase_started', phase: 'tuning', jobs: 4, done: 1 },
  { kind: 'step', job, step: 3, steps: 300 },
  { kind: 'job_finished', phase: 'tuning', job, done: 2, jobs: 4 },
  { kind: 'job_failed', phase: 'tuning', job: { ...job, value: null }, message: 'no memory' },
  { kind: 'chosen', row: 'kd', value: 0.002, figure: 31.234 },
  { kind: 'note', message: 'kd, seed 7: halved' },
];

function shown(json: boolean): readonly string[] {
  const lines: string[] = [];
  const progress = openReproductionProgress(json, (line) => lines.push(line));
  for (const event of EVENTS) progress.show(event);
  progress.close();
  return lines;
}

test('for people a line where something ended', () => {
  expect(shown(false)).toEqual([
    'tuning: 4 jobs, 1 done before',
    'tuning 2/4  kd, seed 7, 0.002',
    'tuning failed  kd, seed 7: no memory',
    'tuning  kd: 0.002 (31.23)',
    'note: kd, seed 7: halved',
  ]);
});

test('for scripts every event but single steps, as JSON', () => {
  expect(shown(true).map((line) => JSON.parse(line))).toEqual(EVENTS.filter(({ kind }) => kind !== 'step'));
});

test('a job is called by its row, seed and the value tried', () => {
  expect(jobInWords(job)).toBe('kd, seed 7, 0.002');
  expect(jobInWords({ ...job, value: null })).toBe('kd, seed 7');
});
