import { canonicalJson } from '../common/hash.js';
import { present } from '../common/present.js';
import { isStageReference, type RunConfig, type StageConfig } from '../config/schema.js';
import { keepsResponses } from '../config/sources.js';
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

/** Responses that a teacher draws once and keeps, for every student that learns from them. */
export interface PlannedResponses {
  /** Stage or model that draws them. */
  readonly teacher: string;
  readonly dataset: string;
  /** Rows of the dataset, of which a student asks for those it comes to; null where they are not known. */
  readonly rows: number | null;
  readonly for: readonly string[];
}

export interface PlannedTable {
  readonly stages: readonly PlannedStage[];
  readonly responses: readonly PlannedResponses[];
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

/** The teacher of a stage by name, and by what decides its responses. */
function drawerOf(stage: StageConfig, { parents }: StoredStage): { name: string; identity: unknown } {
  const teacher = present(stage.teacher, 'teacher that draws, in a checked profile');
  if (typeof teacher === 'string') return { name: teacher, identity: teacher };
  if (!isStageReference(teacher)) return { name: 'teacher', identity: teacher };
  return { name: teacher.stage, identity: parents.find(({ name }) => name === teacher.stage)?.hash };
}

/** What is drawn for several students counts once: the worker keeps it by teacher, prompts, sampling and seed. */
function keptResponses(stages: readonly Needed[]): readonly PlannedResponses[] {
  const kept = new Map<string, PlannedResponses & { readonly for: string[] }>();
  for (const { stored, stage, run, for: reasons } of stages) {
    const config = stageOf(run, stage);
    for (const source of Object.values(config.method.sources).filter(keepsResponses)) {
      const dataset = source.data ?? config.data.train;
      const teacher = drawerOf(config, stored);
      const { limit = null, ...prompts } = run.data[dataset] ?? {};
      const { engine: _, ...sampling } = config.rollout;
      const seed = source.responses_seed ?? run.seed;
      const key = canonicalJson([teacher.identity, dataset, prompts, seed, sampling]);
      const found = kept.get(key) ?? { teacher: teacher.name, dataset, rows: limit, for: [] };
      found.for.push(...reasons);
      kept.set(key, found);
    }
  }
  return [...kept.values()];
}

const stageOf = (run: RunConfig, stage: string): StageConfig =>
  present(run.stages[stage], `stage ${stage} in a checked profile`);

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
    const config = stageOf(run, stage);
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
  const responses = keptResponses([...needed.values()]);
  return { stages, responses, evaluations: { all: sum(pieces), done: sum(done) } };
}
