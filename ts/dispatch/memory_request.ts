import { evaluatedSets } from '../config/evaluated.js';
import { longestResponse } from '../config/longest_response.js';
import { mixes } from '../config/sources.js';
import type { PartPlan, SizedStagePlan } from '../plan/types.js';
import { INITIAL_STATE } from '../schedule/state.js';
import { planStep } from '../schedule/step.js';
import type { StepPlan } from '../schedule/types.js';
import type { OperationArgs } from '../wire/protocol.gen.js';
import { ROWS_PER_REQUEST } from './evaluation.js';
import { wireTerm } from './step_requests.js';

/** Begins the name of a phase that generates for an evaluation. */
export const EVALUATION = 'evaluation of';

export type MemoryRequest = OperationArgs<'predict_memory'>;

/** The first step in which the student learns: later ones differ in numbers only. */
const learningStep = (plan: SizedStagePlan): StepPlan =>
  planStep(plan, { ...INITIAL_STATE, step: plan.adversary.warmup_steps });

const longestOf = ({ schedules, sampling }: SizedStagePlan): number =>
  longestResponse(sampling, schedules['rollout.max_new_tokens']);

/** Rows that one request draws for a part: those of all minibatches of an iteration. */
const drawnRows = ({ iteration }: SizedStagePlan, part: PartPlan) => part.rows * iteration.minibatches;

/** Only the student's parts have a mixture. */
function isMixed({ schedules }: SizedStagePlan, { part }: PartPlan): boolean {
  const mixture = schedules[`sources.${part}.mixture`];
  return mixture !== undefined && mixes({ mixture });
}

function plannedRollouts(plan: SizedStagePlan): MemoryRequest['rollouts'] {
  const sampling = { ...plan.sampling, max_new_tokens: longestOf(plan) };
  const drawn = plan.parts.flatMap((part) =>
    part.from === 'dataset'
      ? []
      : [
          {
            name: `rollout of ${part.part}`,
            role: part.from,
            dataset: part.dataset,
            rows: drawnRows(plan, part),
            sampling,
            ...(isMixed(plan, part) ? { mixture: true } : {}),
            ...(part.ahead ? { background: true } : {}),
          },
        ],
  );
  const evaluated = evaluatedSets(plan.data).flatMap((dataset) => {
    const rows = Math.min(plan.rows[dataset] ?? 0, ROWS_PER_REQUEST);
    if (rows === 0) return [];
    const name = `${EVALUATION} ${dataset}`;
    return [{ name, role: 'student' as const, dataset, rows, sampling: plan.evaluation.sampling }];
  });
  return [...drawn, ...evaluated];
}

/** Responses that outlive the step they are drawn in. */
function keptRows(plan: SizedStagePlan): number {
  const { minibatches, epochs } = plan.iteration;
  const kept = plan.parts.map((part) => {
    if (part.from === 'dataset') return 0;
    if (part.replay !== null) return part.replay.capacity;
    return part.ahead || minibatches * epochs > 1 ? drawnRows(plan, part) : 0;
  });
  return kept.reduce((sum, rows) => sum + rows, 0);
}

/**
 * What a stage asks of memory, in the worker's words: micro-batches, scoring and terms are those of its steps.
 *
 * @param rehearse go through a step: seconds, and a prediction instead of a lower bound
 */
export function memoryRequest(plan: SizedStagePlan, rehearse: boolean): MemoryRequest {
  const { limits, score, critics, student } = learningStep(plan);
  return {
    parts: plan.parts.map(({ part, dataset, rows, from }) => ({
      part,
      dataset,
      rows,
      ...(from === 'dataset' ? {} : { max_new_tokens: longestOf(plan) }),
    })),
    ...limits,
    teacher: score?.teacher ?? false,
    student: score?.student ?? 'none',
    updates: critics?.updates ?? [],
    terms: (student?.terms ?? []).map(wireTerm),
    diagnostics: plan.diagnostics.every > 0,
    ...(student?.dropout_seed === undefined ? {} : { dropout: true }),
    rollouts: plannedRollouts(plan),
    kept_rows: keptRows(plan),
    checkpoints: true, // by step numbers, or by the clock
    rehearse,
  };
}
