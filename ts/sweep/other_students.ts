import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { SweepSummary, TrialRow } from '../metrics/sweep_rows.js';
import { RunFolder } from '../run/folder/run_folder.js';
import type { SweepFolder } from './sweep_folder.js';

/**
 * Deletes the students of finished trials but the best one's; their rows, and the checkpoints of adapters, stay. Equal trials
 * have one folder, in which one may still be trained when another was pruned: there nothing is done yet.
 */
export function dropOtherStudents(
  folder: SweepFolder,
  rows: readonly TrialRow[],
  { best, stage }: Pick<SweepSummary, 'best' | 'stage'>,
): void {
  const others = rows.flatMap((row) =>
    row.folder === null || row.folder === best?.folder ? [] : [row.folder],
  );
  for (const other of new Set(others)) {
    const { done, student } = new RunFolder(path.join(folder.path, other)).stage(stage);
    if (!existsSync(done)) continue;
    try {
      rmSync(student, { recursive: true, force: true });
    } catch {
      // Space is all that it costs, and the next trial's end tries again.
    }
  }
}
