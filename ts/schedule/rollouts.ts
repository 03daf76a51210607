import type { PartPlan, SizedStagePlan } from '../plan/types.js';
import { type IterationPlace, minibatchAt, partDraw, placeOf } from './iteration.js';
import type { BatchPartPlan, RolloutPlan } from './types.js';

/**
 * A rollout used in one step is freed with it; one used again lives in the buffer, also through a checkpoint.
 */
function rolloutHandle(part: PartPlan, step: number, place: IterationPlace, minibatch: number): string {
  if (place.length === 1) return `step:${step}/rollout.${part.part}`;
  return `buffer/${part.part}.${place.iteration}.${minibatch}`;
}

const generated = (plan: SizedStagePlan) =>
  plan.parts.flatMap((part) => (part.from === 'dataset' ? [] : [{ part, role: part.from }]));

/** Responses to draw at a step: all of the iteration's at its start, none later. */
export function rolloutsAt(plan: SizedStagePlan, step: number): readonly RolloutPlan[] {
  const place = placeOf(step, plan.iteration);
  if (place.within > 0) return [];
  return generated(plan).flatMap(({ part, role }) =>
    Array.from({ length: plan.iteration.minibatches }, (_, minibatch) => ({
      handle: rolloutHandle(part, step, place, minibatch),
      part: part.part,
      role,
      dataset: part.dataset,
      ...partDraw(plan, part, place.iteration, minibatch),
      sampling: plan.sampling,
      seed: part.seed,
    })),
  );
}

/** The parts of the batch of a step. */
export function partsAt(plan: SizedStagePlan, step: number): readonly BatchPartPlan[] {
  const place = placeOf(step, plan.iteration);
  return plan.parts.map((part) => {
    if (part.from === 'dataset') {
      const draw = partDraw(plan, part, place.iteration, place.within);
      return { from: 'dataset', part: part.part, dataset: part.dataset, ...draw };
    }
    const handle = rolloutHandle(part, step, place, minibatchAt(part, place, plan.iteration));
    return { from: 'rollout', part: part.part, handle };
  });
}

/** Buffer handles used for the last time at a step: in the last epoch, or because the stage ends here. */
export function releasedAt(plan: SizedStagePlan, step: number): readonly string[] {
  const place = placeOf(step, plan.iteration);
  if (place.length === 1) return [];
  const { epochs } = plan.iteration;
  const stageEnds = step === plan.steps - 1;
  if (place.epoch < epochs - 1 && !stageEnds) return [];
  // Steps from here to the end of the iteration: only this one unless the stage ends within it.
  const last = stageEnds ? place.length - 1 : place.within;
  const handles = new Set<string>();
  for (let within = place.within; within <= last; within += 1) {
    const at = placeOf(step - place.within + within, plan.iteration);
    for (const { part } of generated(plan)) {
      handles.add(rolloutHandle(part, step, at, minibatchAt(part, at, plan.iteration)));
    }
  }
  return [...handles];
}
