import { expect, test } from '@jest/globals';
import { problemsOf } from '../../../ts/run/check_run.js';
import type { MemoryForecast } from '../../../ts/run/memory/forecast.js';

const forecast = (fits: boolean): MemoryForecast => ({
  phases: [],
  peak_bytes: 3,
  available_bytes: fits ? 4 : 2,
  fits,
  remedies: fits ? [] : ['training.micro_batch: 2 or less (now 4)'],
});
const check = (name: string, ok: boolean) => ({ name, ok, detail: '' });

test('a stage that cannot fit is a problem, as is a check that failed', () => {
  const stage = { steps: 1, notes: [], skipped: null };
  expect(
    problemsOf([
      { ...stage, stage: 'teacher', memory: forecast(true), checks: [check('loss is finite', true)] },
      { ...stage, stage: 'student', memory: forecast(false), checks: [check('loss is finite', false)] },
      { ...stage, stage: 'empty', memory: null, checks: [] },
      { stage: 'later', skipped: 'its model is not there yet' },
    ]),
  ).toEqual(['memory (stage student)', 'loss is finite (stage student)']);
});
