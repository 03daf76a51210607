import {
  type PhaseSeconds,
  type Summary,
  secondsByPhase,
  summarise,
  throughput,
} from '../metrics/aggregate.js';
import { type Comparison, compareStages } from '../metrics/paired.js';
import type { RunData } from './read_run.js';

export interface StageResults {
  readonly name: string;
  readonly method: string | null;
  readonly teaches: boolean;
  readonly done: boolean;
  readonly steps: number;
  readonly seconds: number;
  readonly tokens_per_second: number | null;
  readonly generated_per_second: number | null;
  readonly seconds_by_phase: PhaseSeconds;
}

/** What `results.json` holds: the figures of every table, for programs. */
export interface Results {
  readonly format: 'ammd-results';
  readonly version: 1;
  readonly name: string;
  readonly config_sha256: string | null;
  readonly stages: readonly StageResults[];
  /** Of final models only. */
  readonly evaluations: readonly Summary[];
  /** The last stage with final scores against each other one, with 95 % intervals over test rows. */
  readonly comparisons: readonly Comparison[];
}

export function computeResults(run: RunData): Results {
  const final = run.stages.flatMap((stage) => stage.evaluations.filter((row) => row.final));
  const last = run.stages.findLast((stage) => final.some((row) => row.stage === stage.name));
  return {
    format: 'ammd-results',
    version: 1,
    name: run.name,
    config_sha256: run.config?.sha256 ?? null,
    stages: run.stages.map(({ name, method, teaches, done, steps }) => ({
      name,
      method,
      teaches,
      done,
      ...throughput(steps),
      seconds_by_phase: secondsByPhase(steps),
    })),
    evaluations: summarise(final),
    comparisons: last === undefined ? [] : compareStages(final, last.name),
  };
}
