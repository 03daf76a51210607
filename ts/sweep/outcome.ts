import { writeFileAtomic, writeJsonAtomic } from '../common/atomic_file.js';
import { configToYaml } from '../config/resolve.js';
import { SWEEP_FILES, type SweepSummary, type TrialRow } from '../metrics/sweep_rows.js';
import type { ResolvedSweep } from './resolve.js';
import { domainsOf, trialsWanted } from './space.js';
import type { SweepFolder } from './sweep_folder.js';

/** The complete trial with the best value, of equals the one that began first; undefined where there is none. */
export function bestTrial(rows: readonly TrialRow[], mode: 'max' | 'min'): TrialRow | undefined {
  const sign = mode === 'max' ? -1 : 1;
  const key = ({ value }: TrialRow) => sign * (value ?? Number.NaN);
  return rows
    .filter(({ state }) => state === 'complete')
    .toSorted((a, b) => key(a) - key(b) || a.number - b.number)[0];
}

const countOf = (rows: readonly TrialRow[], state: TrialRow['state']) =>
  rows.filter((row) => row.state === state).length;

/** What the trials so far have come to. */
export function summaryOf(
  resolved: ResolvedSweep,
  rows: readonly TrialRow[],
  importances: SweepSummary['importances'],
): SweepSummary {
  const { config, objective, hash } = resolved;
  const best = bestTrial(rows, objective.mode);
  return {
    kind: 'sweep',
    format: 1,
    name: config.name,
    hash,
    stage: config.stage,
    objective,
    space: domainsOf(config.space),
    search: config.search.kind,
    pruning: config.pruning?.kind ?? null,
    trials: {
      wanted: Math.max(trialsWanted(config), rows.length),
      complete: countOf(rows, 'complete'),
      pruned: countOf(rows, 'pruned'),
      failed: countOf(rows, 'failed'),
    },
    best:
      best === undefined
        ? null
        : {
            number: best.number,
            value: best.value ?? Number.NaN,
            parameters: best.parameters,
            folder: best.folder ?? '',
            config: SWEEP_FILES.best,
          },
    importances,
  };
}

function bestConfig(
  { config, objective, configure }: ResolvedSweep,
  { number, value, parameters }: NonNullable<SweepSummary['best']>,
) {
  const { metric, decoding, dataset } = objective;
  const head = `# Trial ${number} of sweep ${config.name}: ${metric} (${decoding}) on ${dataset} is ${value}.`;
  const chosen = Object.entries(parameters).map(([path, given]) => `#   ${path}: ${JSON.stringify(given)}`);
  return [head, ...chosen, configToYaml(configure(parameters))].join('\n');
}

/** Writes `sweep.json`, and the best run where there is one. */
export function writeOutcome(folder: SweepFolder, resolved: ResolvedSweep, summary: SweepSummary): void {
  if (summary.best !== null) writeFileAtomic(folder.best, bestConfig(resolved, summary.best));
  writeJsonAtomic(folder.summary, summary);
}
