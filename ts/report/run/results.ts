import { type PhaseSeconds, type Summary, summarise, type Throughput } from '../../metrics/aggregate.js';
import { type Comparison, compareModels } from '../../metrics/paired.js';
import type { RunData } from '../read/run.js';

export interface StageResults extends Throughput {
  readonly name: string;
  readonly method: string | null;
  readonly teaches: boolean;
  readonly done: boolean;
  readonly seconds_by_phase: PhaseSeconds;
}

/** What `results.json` holds: the figures of every table, for programs. */
export interface Results {
  readonly format: 'ammd-results';
  readonly version: 1;
  readonly name: string;
  readonly config_sha256: string | null;
  /** Datasets that checkpoints were chosen on; the others are test sets. */
  readonly validation: readonly string[];
  readonly stages: readonly StageResults[];
  /** Evaluations of exported models, and of what a stage started from where that was evaluated as fully. */
  readonly evaluations: readonly Summary[];
  /** The last exported model against each other one, with 95 % intervals over test rows. */
  readonly comparisons: readonly Comparison[];
}

export function computeResults(run: RunData): Results {
  // Evaluations at intervals see fewer rows and keep no scores: they are curves, not results.
  const tested = run.stages.flatMap((stage) =>
    stage.evaluations.filter((row) => row.final || row.scores !== undefined),
  );
  const last = tested.findLast((row) => row.final);
  return {
    format: 'ammd-results',
    version: 1,
    name: run.name,
    config_sha256: run.config?.sha256 ?? null,
    validation: [...new Set(run.stages.flatMap((stage) => stage.validation ?? []))],
    stages: run.stages.map(({ name, method, teaches, done, steps }) => ({
      name,
      method,
      teaches,
      done,
      ...steps.totals.throughput,
      seconds_by_phase: steps.totals.secondsByPhase,
    })),
    evaluations: summarise(tested),
    comparisons: last === undefined ? [] : compareModels(tested, last.stage),
  };
}
