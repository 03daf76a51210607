import { expect, test } from '@jest/globals';
import type { StepRow } from '../../../../ts/metrics/rows.js';
import { halvingNote } from '../../../../ts/run/memory/halving_note.js';
import { ammd } from '../../plan/plans.js';

function noteOf(metrics: StepRow['metrics'], ...changes: readonly string[]): string | null {
  const row: StepRow = {
    kind: 'step',
    stage: 'student',
    step: 12,
    metrics,
    lr: 0.1,
    critic_lr: null,
    tokens: { batch: 0, response: 0, generated: 0 },
    seconds: {
      generate: 0,
      build: 0,
      teacher: 0,
      prepass: 0,
      critic: 0,
      student: 0,
      end: 0,
      wire: 0,
      idle: 0,
      total: 0,
    },
    policy_version: 1,
    wire_bytes: 0,
  };
  return halvingNote(ammd(100, ...changes), row);
}

test.each([
  [1, ['training.batch_size=7'], 'training.micro_batch: 4'],
  [2, ['training.micro_batch=6'], 'training.micro_batch: 2'],
  [1, ['training.micro_batch=60'], 'training.micro_batch: 4'],
  [2, ['training.micro_tokens=1001'], 'training.micro_tokens: 251'],
  [
    1,
    ['training.micro_tokens=1000', 'training.micro_batch=6'],
    'training.micro_tokens: 500, training.micro_batch: 3',
  ],
] as const)('after %p halvings, with %j, it says to set %s', (halvings, changes, settings) => {
  expect(noteOf({ micro_batch_halvings: halvings }, ...changes)).toBe(
    'stage student, step 12: memory ran out; what did not fit is computed in smaller pieces from now on. ' +
      `To begin so, set ${settings}`,
  );
});

test('shorter chunks have a setting of the worker', () => {
  expect(noteOf({ position_chunk: 85 })).toMatch(/set worker.position_chunk: 85$/);
  expect(noteOf({ position_chunk: 85, micro_batch_halvings: 3 })).toMatch(
    /set training.micro_batch: 1, worker.position_chunk: 85$/,
  );
});

test('fewer rows that responses are drawn for have one too', () => {
  expect(noteOf({ rollout_rows: 32 })).toMatch(/set worker.rollout_rows: 32$/);
});

test('a step like any other has no note', () => {
  expect(noteOf({ loss: 1 })).toBeNull();
});
