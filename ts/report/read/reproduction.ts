import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type JournalPlace, readTable, type TableFile } from '../../metrics/table_file.js';
import { type RunData, readRun, type StageData } from './run.js';

/** The training of one row under one seed. */
export interface Trained {
  readonly row: string;
  readonly seed: number;
  readonly run: RunData;
  readonly stage: StageData;
}

export interface ReproductionData {
  readonly folder: string;
  readonly table: TableFile;
  readonly curves: readonly Trained[];
  readonly samples: readonly Trained[];
  /** Folders that the table names and that are gone: a store that was moved or cleared. */
  readonly missing: readonly string[];
}

/**
 * Reads a reproduction's table and the journals that it names.
 *
 * @throws {TableFileError} there is no table, or it is damaged
 * @throws {ReportError} a run's configuration or manifest is damaged
 * @throws {JournalError} a row is damaged; the message names file and line
 */
export function readReproduction(folder: string): ReproductionData {
  const path = resolve(folder);
  const table = readTable(path);
  const runs = new Map<string, RunData | null>();
  const open = (name: string): RunData | null => {
    const place = resolve(path, name);
    const known = runs.get(place);
    if (known !== undefined) return known;
    const run = existsSync(place) ? readRun(place) : null;
    runs.set(place, run);
    return run;
  };
  const read = (places: readonly JournalPlace[]): Trained[] =>
    places.flatMap(({ row, seed, folder: name, stage: stageName }) => {
      const run = open(name);
      const stage = run?.stages.find((it) => it.name === stageName);
      return run === null || stage === undefined ? [] : [{ row, seed, run, stage }];
    });
  const [curves, samples] = [read(table.curves), read(table.samples)];
  const missing = [...runs].flatMap(([place, run]) => (run === null ? [place] : []));
  return { folder: path, table, curves, samples, missing };
}
