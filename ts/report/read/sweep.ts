import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { readJournal } from '../../metrics/journal.js';
import {
  SWEEP_FILES,
  type SweepSummary,
  sweepSummarySchema,
  type TrialRow,
  trialRowSchema,
} from '../../metrics/sweep_rows.js';
import { ReportError } from '../errors.js';

export interface SweepData {
  readonly folder: string;
  readonly summary: SweepSummary;
  /** By number; of one that was run again, its last row. */
  readonly trials: readonly TrialRow[];
}

/**
 * Reads a sweep's folder, finished or not.
 *
 * @throws {ReportError} `sweep.json` is missing or damaged
 * @throws {JournalError} a trial's row is damaged; the message names file and line
 */
export function readSweep(folder: string): SweepData {
  const path = resolve(folder);
  const rows = readJournal(join(path, SWEEP_FILES.trials), trialRowSchema);
  const byNumber = new Map(rows.map((row) => [row.number, row]));
  return {
    folder: path,
    summary: readSummary(join(path, SWEEP_FILES.summary)),
    trials: [...byNumber.values()].sort((left, right) => left.number - right.number),
  };
}

function readSummary(file: string): SweepSummary {
  const hint = 'Continue the sweep, with `ammd sweep` and its folder: it writes the file anew.';
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new ReportError('report_file', `cannot read ${file}`, { cause, hint });
  }
  const checked = sweepSummarySchema.safeParse(value);
  if (checked.success) return checked.data;
  throw new ReportError('report_file', `${file}: ${z.prettifyError(checked.error)}`, { hint });
}
