import { expect, test } from '@jest/globals';
import type { StepRow } from '../../../../ts/metrics/rows.js';
import { skippedText, updatesOf } from '../../../../ts/run/rows/skipped_updates.js';
import { makeStep } from '../../metrics/make_rows.js';

const rowsOf = (...metrics: readonly StepRow['metrics'][]) =>
  metrics.map((each) => makeStep({ metrics: each }));

test('steps without an update of the student count for none', () => {
  const rows = rowsOf({ 'critic/on/skipped': 1 }, { skipped: 1 }, { skipped: 0 });
  expect(updatesOf(rows)).toEqual({ all: 2, skipped: 1, scaled: false });
});

test('what was skipped is told, with the remedy', () => {
  expect(skippedText(updatesOf(rowsOf({ skipped: 1 }, { skipped: 1 }, { skipped: 0 })))).toBe(
    '2 of 3 updates were skipped, since the gradient was not finite; lower training.lr',
  );
  expect(skippedText(updatesOf(rowsOf({ skipped: 0 })))).toBeNull();
  expect(skippedText(updatesOf([]))).toBeNull();
});

test('a loss scale skips some as a matter of course', () => {
  const rows = rowsOf({ skipped: 1, loss_scale: 65536 }, { skipped: 0, loss_scale: 32768 });
  expect(skippedText(updatesOf(rows))).toMatch(
    /^1 of 2 updates was skipped, .*; a few are usual in float16; if there are more, lower training.lr$/,
  );
});
