import { join } from 'node:path';
import { writeFileAtomic, writeJsonAtomic } from '../common/atomic_file.js';
import { renderPage } from './page.js';
import { type RunData, readRun } from './read_run.js';
import { comparisonTables, measureTables, scoreTables, trainingTable } from './result_tables.js';
import { computeResults, type Results } from './results.js';
import { escapeMarkdown, markdownTable, type Table, textTable } from './table.js';

export interface Report {
  /** One self-contained page. */
  readonly html: string;
  readonly markdown: string;
  readonly results: Results;
  /** The score tables for a terminal. */
  readonly text: string;
}

/**
 * Writes report.html, results.md and results.json into a run folder, from the other files in it alone; the
 * run may still be going.
 *
 * @throws {ReportError} there is no run in the folder, or a file of it is damaged
 * @throws {JournalError} a row is damaged; the message names file and line
 */
export function buildReport(folder: string): Report {
  const report = renderReport(readRun(folder));
  writeFileAtomic(join(folder, 'report.html'), report.html);
  writeFileAtomic(join(folder, 'results.md'), report.markdown);
  writeJsonAtomic(join(folder, 'results.json'), report.results);
  return report;
}

/** The report of a run that has been read; writes nothing. */
export function renderReport(run: RunData): Report {
  const results = computeResults(run);
  return {
    html: renderPage(run, results).text,
    markdown: renderMarkdown(run, results),
    results,
    text: [...scoreTables(results), ...measureTables(results)].map(textTable).join('\n'),
  };
}

function renderMarkdown(run: RunData, results: Results): string {
  const tables: readonly Table[] = [
    ...scoreTables(results),
    ...comparisonTables(results),
    ...measureTables(results),
    trainingTable(results),
  ];
  const hash =
    run.config?.sha256 == null ? [] : [`Configuration: SHA-256 ${escapeMarkdown(run.config.sha256)}`, ''];
  return [`# ${escapeMarkdown(run.name)}`, '', ...hash, ...tables.map(markdownTable)].join('\n');
}
