import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { writeFileAtomic, writeJsonAtomic } from '../common/atomic_file.js';
import { makeFolder } from '../common/make_folder.js';
import { RUN_FILES } from '../metrics/run_files.js';
import type { Chart } from './charts/chart.js';
import { chartSvg, ENCODERS, type FigureFormat } from './charts/chart_file.js';
import { comparisonReport } from './comparison/report.js';
import { ReportError } from './errors.js';
import { commonKind } from './read/folder_kind.js';
import { readReproduction } from './read/reproduction.js';
import { readRun } from './read/run.js';
import { readSweep } from './read/sweep.js';
import type { Report } from './report.js';
import { reproductionReport } from './reproduction/report.js';
import { runReport } from './run/report.js';
import { sweepReport } from './sweep/report.js';

export type { Report } from './report.js';

export interface ReportOptions {
  /** Where the files go, made where it is not there; a function is called once there is something to write. */
  readonly out?: string | (() => string) | undefined;
  /** Each chart as a file too, in these formats. */
  readonly figures?: readonly FigureFormat[];
}

/** A report that has been written. */
export interface WrittenReport extends Report<unknown> {
  readonly path: string;
  readonly figures: { readonly path: string; readonly files: readonly string[] };
}

/**
 * Writes report.html, results.md, tables.tex and results.json into a run folder, from the other files in it alone;
 * the run may still be going.
 *
 * @throws {ReportError} there is no run in the folder, or a file of it is damaged
 * @throws {JournalError} a row is damaged; the message names file and line
 */
export function buildReport(folder: string): Report {
  const report = runReport(readRun(folder));
  writeReport(folder, report);
  return report;
}

/**
 * Writes the report of a run, of several runs side by side, of a reproduction, or of a sweep. That of one folder goes
 * into it, unless `out` says otherwise.
 *
 * @throws {ReportError} a folder is none of these, they are of several kinds, a file of them is damaged, or several
 *   are given without `out`
 * @throws {JournalError | TableFileError} a row or a table is damaged; the message names the file
 */
export function reportOn(
  folders: readonly string[],
  { out, figures = [] }: ReportOptions = {},
): WrittenReport {
  const report = renderReport(folders);
  const encoders = figures.map((format) => ({ format, encode: ENCODERS[format]() }));
  const folder = resolve(reportFolder(folders, typeof out === 'function' ? out() : out));
  writeReport(folder, report);
  const path = join(folder, 'figures');
  return {
    ...report,
    path: join(folder, RUN_FILES.report),
    figures: { path, files: writeFigures(path, report.charts, encoders) },
  };
}

/** Writes nothing. @throws as `reportOn` */
export function renderReport(folders: readonly string[]): Report<unknown> {
  const [first = ''] = folders;
  switch (commonKind(folders)) {
    case 'run':
      return folders.length === 1 ? runReport(readRun(first)) : comparisonReport(folders.map(readRun));
    case 'reproduction':
      return reproductionReport(readReproduction(first));
    case 'sweep':
      return sweepReport(readSweep(first));
  }
}

function reportFolder(folders: readonly string[], out: string | undefined): string {
  const folder = out ?? folders[0] ?? '';
  if (out === undefined && folders.length > 1)
    throw new ReportError('report_out', 'the report of several runs needs a folder of its own', {
      hint: 'Give one: --out, or { out } in a script.',
    });
  if (folders.length > 1 && folders.some((own) => resolve(own) === resolve(folder)))
    throw new ReportError('report_out', `${folder} is one of the runs, and has a report of its own`, {
      hint: 'Give another folder: --out, or { out } in a script.',
    });
  if (existsSync(folder) && !statSync(folder).isDirectory())
    throw new ReportError('report_out', `${folder} is a file`, {
      hint: 'Give a folder: --out, or { out } in a script.',
    });
  makeFolder(folder);
  return folder;
}

function writeReport(folder: string, { html, markdown, latex, results }: Report<unknown>): void {
  writeFileAtomic(join(folder, RUN_FILES.report), html);
  writeFileAtomic(join(folder, RUN_FILES.table), markdown);
  writeFileAtomic(join(folder, 'tables.tex'), latex);
  writeJsonAtomic(join(folder, RUN_FILES.results), results);
}

interface Encoder {
  readonly format: FigureFormat;
  readonly encode: (svg: string) => string | Buffer;
}

/** Charts whose names are alike are numbered. */
function writeFigures(folder: string, charts: readonly Chart[], encoders: readonly Encoder[]): string[] {
  if (encoders.length === 0) return [];
  makeFolder(folder);
  const used = new Map<string, number>();
  return charts.flatMap((chart) => {
    const count = (used.get(chart.id) ?? 0) + 1;
    used.set(chart.id, count);
    const stem = join(folder, count === 1 ? chart.id : `${chart.id}-${count}`);
    const svg = chartSvg(chart);
    return encoders.map(({ format, encode }) => {
      const file = `${stem}.${format}`;
      writeFileAtomic(file, encode(svg));
      return file;
    });
  });
}
