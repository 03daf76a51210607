import { streamSeed } from '../common/random.js';
import { evaluatedSets } from '../config/evaluated.js';
import type { RunConfig, StageConfig } from '../config/schema.js';
import { isDrawnAhead, keepsResponses } from '../config/sources.js';
import { stageSchedules } from '../config/stage_schedules.js';
import { deepFreeze } from './freeze.js';
import { sharesOf, studentSteps } from './length.js';
import { planModel } from './models.js';
import type { CriticPlan, PartPlan, SizedStagePlan, StagePlan } from './types.js';

type Seeds = (...names: readonly string[]) => number;

function planParts(stage: StageConfig, root: number, seed: Seeds): readonly PartPlan[] {
  return sharesOf(stage).map(({ source, ...share }) => {
    const { part, dataset } = share;
    const { replay, max_staleness } = source;
    const cache = keepsResponses(source);
    return {
      ...share,
      // What is cached is drawn once for all stages and methods of a seed.
      seed: cache ? streamSeed(source.responses_seed ?? root, 'responses', dataset) : seed('rollout', part),
      coinSeed: seed('coin', part),
      replay: replay === null ? null : { capacity: replay.capacity, seed: seed('replay', part) },
      maxStaleness: max_staleness,
      ahead: isDrawnAhead(source, stage.method.iteration),
      cache,
    };
  });
}

function planCritics(stage: StageConfig, seed: Seeds): readonly CriticPlan[] {
  return Object.entries(stage.method.critics).map(([name, critic]) => ({
    ...critic,
    name,
    seed: seed('critic', name),
  }));
}

const planSchedules = (stage: StageConfig) =>
  Object.fromEntries([...stageSchedules(stage)].map(([name, { schedule }]) => [name, schedule]));

/** Plans one stage of a checked configuration. */
export function planStage(config: RunConfig, name: string, stage: StageConfig, index: number): StagePlan {
  const seed: Seeds = (...names) => streamSeed(config.seed, 'stage', name, ...names);
  const parts = planParts(stage, config.seed, seed);
  const drawn = [...new Set(parts.map(({ dataset }) => dataset))];
  return {
    name,
    index,
    method: stage.method.name,
    student: planModel(config, stage.student, { stage: name, role: 'student' }),
    teacher:
      stage.teacher === null ? null : planModel(config, stage.teacher, { stage: name, role: 'teacher' }),
    parts,
    terms: Object.entries(stage.method.terms).map(([name, { weight: _, ...term }]) => ({ ...term, name })),
    critics: planCritics(stage, seed),
    adversary: stage.method.adversary,
    iteration: stage.method.iteration,
    training: stage.training,
    adapterSeeds: { weights: seed('adapters'), dropout: seed('dropout') },
    engine: stage.rollout.engine,
    sampling: stage.rollout.sampling,
    data: stage.data,
    datasets: [...new Set([...drawn, ...evaluatedSets(stage.data)])],
    evaluation: stage.evaluation,
    checkpoints: stage.checkpoints,
    diagnostics: stage.diagnostics,
    schedules: planSchedules(stage),
    orderSeeds: Object.fromEntries(drawn.map((dataset) => [dataset, seed('order', dataset)])),
  };
}

/**
 * Completes a stage plan with the rows of its datasets, known once they are registered, and so with its steps.
 *
 * @throws RangeError when a dataset that batches draw from has no rows
 */
export function withRows(plan: StagePlan, rows: Readonly<Record<string, number>>): SizedStagePlan {
  for (const dataset of Object.keys(plan.orderSeeds)) {
    if (!(rows[dataset] ?? 0)) throw new RangeError(`dataset ${dataset} of stage ${plan.name} has no rows`);
  }
  const trained = studentSteps(plan, rows[plan.data.train] ?? null);
  const steps = plan.adversary.warmup_steps + trained;
  return deepFreeze({ ...plan, rows, orders: {}, studentSteps: trained, steps });
}

/** The plan whose rows are drawn in these orders at first; they are known once the rows have been measured. */
export function withOrders(plan: SizedStagePlan, orders: SizedStagePlan['orders']): SizedStagePlan {
  return deepFreeze({ ...plan, orders });
}
