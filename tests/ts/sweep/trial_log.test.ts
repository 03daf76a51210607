import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { JournalError } from '../../../ts/metrics/journal.js';
import { TrialLog } from '../../../ts/sweep/trial_log.js';
import { workspace } from '../config/workspace.js';
import { makeTrial } from '../metrics/make_sweep_rows.js';

test('the rows in memory are those of the file, before and after a restart', () => {
  const path = join(workspace({}), 'trials.jsonl');
  const [first, second] = [makeTrial({ number: 1 }), makeTrial({ number: 0 })];
  const log = TrialLog.open(path);
  const { rows } = log;
  expect(rows).toEqual([]);
  log.add(first);
  expect(rows).toEqual([first]);
  expect(readFileSync(path, 'utf8')).toBe(`${JSON.stringify(first)}\n`);
  log.close();
  const again = TrialLog.open(path);
  again.add(second);
  expect(again.rows).toEqual([first, second]);
  again.close();
});

test('a file with anything else is refused', () => {
  const path = join(workspace({}), 'trials.jsonl');
  appendFileSync(path, '{"kind": "step"}\n');
  expect(() => TrialLog.open(path)).toThrow(JournalError);
});
