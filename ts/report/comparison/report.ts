import type { RunData } from '../read/run.js';
import { assemble, type Report } from '../report.js';
import { seriesOfGroups } from './compared_series.js';
import { comparisonSections } from './page.js';
import { type ComparisonResults, compare } from './results.js';
import { groupRuns } from './run_groups.js';
import { costTable, diagnosticsTable, groupDifferenceTables, groupScoreTables } from './tables.js';

/** The report of several runs that have been read; writes nothing. */
export function comparisonReport(runs: readonly RunData[]): Report<ComparisonResults> {
  const groups = groupRuns(runs);
  const series = seriesOfGroups(groups);
  const results = compare(groups, series);
  const scores = groupScoreTables(results, series);
  const diagnostics = diagnosticsTable(series);
  const labels = groups.map(({ label, runs: own }) => (own.length > 1 ? `${label} (${own.length})` : label));
  return assemble({
    title: groups.length <= 3 ? labels.join(' · ') : `${runs.length} runs compared`,
    headline: `${runs.length} runs in ${groups.length} ${groups.length === 1 ? 'group' : 'groups'}: ${labels.join(', ')}.`,
    sections: comparisonSections(groups, series, results),
    results,
    preface: results.runs.map(({ group, seed, folder }) => `${group}, seed ${seed ?? '–'}: ${folder}`),
    tables: [
      ...scores,
      ...groupDifferenceTables(results, series),
      ...(diagnostics === undefined ? [] : [diagnostics]),
      costTable(results),
    ],
    main: scores,
  });
}
