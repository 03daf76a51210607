import type { RunConfig } from '../config/schema.js';
import type { EvaluationStore } from '../store/evaluation_store.js';
import type { StageStore } from '../store/stage_store.js';
import type { StoredStage } from '../store/stored_stage.js';
import { type StageCost, stageCost } from './cost.js';
import type { Job } from './plan.js';
import type { Profile } from './profile.js';

/** One stage that a table needs, as `--dry-run` lists it. */
export interface PlannedStage {
  readonly hash: string;
  readonly name: string;
  /** Stage of the run that it is. */
  readonly stage: string;
  /** The rows that need it, and of rows that are trained with several seeds or values which. */
  readonly for: readonly string[];
  readonly done: boolean;
  readonly cost: StageCost;
}

export interface PlannedTable {
  readonly stages: readonly PlannedStage[];
  /** Evaluations: a student, a set and a decoding each. */
  readonly evaluations: { readonly all: number; readonly done: number };
}

interface Needed {
  readonly stored: StoredStage;
  readonly stage: string;
  readonly run: RunConfig;
  readonly for: Set<string>;
}

const labelOf = ({ row, seed, value, purpose }: Job): string =>
  purpose === 'tuning' ? `${row} (${value ?? 'as written'}, tuning)` : `${row} (seed ${seed})`;

/** A stage and those it takes models from, parents first. */
function collect(needed: Map<string, Needed>, item: Omit<Needed, 'for'>, why: string): void {
  const { stored, run } = item;
  for (const parent of stored.parents) collect(needed, { stored: parent, stage: parent.name, run }, why);
  const found = needed.get(stored.hash) ?? { ...item, for: new Set<string>() };
  found.for.add(why);
  needed.set(stored.hash, found);
}

/** Everything that jobs need, each stage once, in the order in which it could be done. */
export function planStages(
  profile: Profile,
  jobs: readonly Job[],
  stores: { readonly stages: StageStore; readonly evaluations: EvaluationStore },
): PlannedTable {
  const needed = new Map<string, Needed>();
  for (const job of jobs) collect(needed, job, labelOf(job));
  const { parameters } = profile.config;
  const stages = [...needed.values()].map(({ stored, stage, run, for: reasons }): PlannedStage => {
    const config = run.stages[stage];
    if (config === undefined) throw new RangeError(`no stage ${stage} in a checked profile`);
    const rows = run.data[config.data.train]?.limit ?? null;
    return {
      hash: stored.hash,
      name: stored.name,
      stage,
      for: [...reasons],
      done: stores.stages.isDone(stored),
      cost: stageCost(run, config, parameters, rows),
    };
  });
  const pieces = jobs.map(({ evaluation }) => {
    const decodings = evaluation.seeds.length + (evaluation.greedy ? 1 : 0);
    return Object.keys(evaluation.datasets).length * decodings;
  });
  const sum = (values: readonly number[]) => values.reduce((left, right) => left + right, 0);
  const done = jobs.map((job, index) =>
    stores.evaluations.isDone(job.stored, job.evaluation) ? (pieces[index] ?? 0) : 0,
  );
  return { stages, evaluations: { all: sum(pieces), done: sum(done) } };
}
