import type { RunData } from '../read/run.js';
import { assemble, type Report } from '../report.js';
import { runHeadline, runSections } from './page.js';
import { comparisonTables, measureTables, scoreTables, trainingTable } from './result_tables.js';
import { computeResults, type Results } from './results.js';

/** The report of one run that has been read; writes nothing. */
export function runReport(run: RunData): Report<Results> {
  const results = computeResults(run);
  const [scores, measures] = [scoreTables(results), measureTables(results)];
  return assemble({
    title: run.name,
    headline: runHeadline(run, results),
    sections: runSections(run, results),
    results,
    preface: run.config?.sha256 == null ? [] : [`Configuration: SHA-256 ${run.config.sha256}`],
    tables: [...scores, ...comparisonTables(results), ...measures, trainingTable(results)],
    main: [...scores, ...measures],
  });
}
