import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { RUN_FILES } from '../../metrics/run_files.js';
import { SWEEP_FILES } from '../../metrics/sweep_rows.js';
import { TABLE_FILE } from '../../metrics/table_file.js';
import { ReportError } from '../errors.js';

export type FolderKind = 'run' | 'reproduction' | 'sweep';

/** What each kind of folder is known by: any one of these. */
const SIGNS: Readonly<Record<FolderKind, readonly string[]>> = {
  reproduction: [TABLE_FILE],
  sweep: [SWEEP_FILES.summary, SWEEP_FILES.trials],
  run: [RUN_FILES.config, RUN_FILES.stages],
};

/** By this the folder is known that a profile's tables and the stages they share lie in. */
const PROFILE_SIGN = 'reproduction.json';

function refuseProfile(folder: string): void {
  if (!existsSync(join(folder, PROFILE_SIGN)) || existsSync(join(folder, TABLE_FILE))) return;
  const tables = readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((inner) => existsSync(join(inner, TABLE_FILE)));
  throw new ReportError('report_no_run', `${folder} holds a reproduction, whose tables have a report each`, {
    hint:
      tables.length === 0
        ? 'None of its tables is done yet; the same `ammd reproduce` goes on.'
        : `Give one of: ${tables.join(', ')}`,
  });
}

/**
 * @throws {ReportError} `report_no_run`: the folder does not exist, holds nothing that a report is made from, or several
 *   tables
 */
export function folderKind(folder: string): FolderKind {
  refuseProfile(folder);
  const kinds: readonly FolderKind[] = ['reproduction', 'sweep', 'run'];
  const found = kinds.find((kind) => SIGNS[kind].some((name) => existsSync(join(folder, name))));
  if (found !== undefined) return found;
  const state = existsSync(folder) ? 'is no folder that a report is made from' : 'does not exist';
  throw new ReportError('report_no_run', `${folder} ${state}`, {
    hint: `Expected: a run (${SIGNS.run.join(' or ')}), a reproduction (${TABLE_FILE}) or a sweep (${SIGNS.sweep.join(' or ')}).`,
  });
}

/**
 * The one kind that all folders are of.
 *
 * @throws {ReportError} `report_mixed`: they are of several, or there are several that are no runs
 */
export function commonKind(folders: readonly string[]): FolderKind {
  const kinds = folders.map((folder) => ({ folder, kind: folderKind(folder) }));
  const [first, ...others] = kinds;
  if (first === undefined) throw new RangeError('no folder to report on');
  const other = others.find(({ kind }) => kind !== first.kind);
  if (other !== undefined)
    throw new ReportError(
      'report_mixed',
      `${first.folder} is a ${first.kind} and ${other.folder} a ${other.kind}: a report is of runs, of one reproduction or of one sweep`,
    );
  if (others.length > 0 && first.kind !== 'run')
    throw new ReportError('report_mixed', `one ${first.kind} at a time: ${folders.join(', ')}`, {
      hint: 'Several folders are compared only where they are runs.',
    });
  return first.kind;
}
