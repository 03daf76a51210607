import type { Sampling } from '../config/schema.js';
import type { PartPlan, SizedStagePlan } from '../plan/types.js';
import { studentStepAt } from './clock.js';
import { type IterationPlace, minibatchAt, partDraw, placeOf } from './iteration.js';
import { read } from './read.js';
import { isReplayed, pickRows, type ReplayPart, replayTurn } from './replay.js';
import { originOf } from './sources.js';
import type { BatchPartPlan, RolloutPlan, StageState } from './types.js';

/**
 * A rollout used in one step is freed with it; one used again lives in the buffer, also through a checkpoint.
 */
function rolloutHandle(part: PartPlan, step: number, place: IterationPlace, minibatch: number): string {
  if (isReplayed(part)) return keptHandle(part, step);
  if (place.length === 1) return `step:${step}/rollout.${part.part}`;
  return `buffer/${part.part}.${place.iteration}.${minibatch}`;
}

const keptHandle = (part: ReplayPart, drawn: number) => `buffer/${part.part}.${drawn}`;

const generated = (plan: SizedStagePlan) =>
  plan.parts.flatMap((part) => (part.from === 'dataset' ? [] : [{ part, role: part.from }]));

/** Sampling of a step: what the plan says, with what changes from step to step in its place. */
function samplingAt(plan: SizedStagePlan, state: StageState): Sampling {
  const changing = ['temperature', 'max_new_tokens'].flatMap((key) =>
    plan.schedules[`rollout.${key}`] === undefined ? [] : [[key, read(plan, state, `rollout.${key}`)]],
  );
  return { ...plan.sampling, ...Object.fromEntries(changing) };
}

/** Responses to draw at a step: all of the iteration's at its start, none later. */
export function rolloutsAt(plan: SizedStagePlan, state: StageState): readonly RolloutPlan[] {
  const place = placeOf(state.step, plan.iteration);
  if (place.within > 0) return [];
  return generated(plan).flatMap(({ part, role }) =>
    Array.from({ length: plan.iteration.minibatches }, (_, minibatch) => minibatch)
      .filter((minibatch) => originOf(plan, state, part, minibatch) === 'fresh')
      .map((minibatch) => {
        const { rows, sampleIds } = partDraw(plan, part, place.iteration, minibatch);
        return {
          handle: rolloutHandle(part, state.step, place, minibatch),
          part: part.part,
          role,
          dataset: part.dataset,
          rows,
          // One id for all epochs is one response for all epochs, which the cache then has.
          sampleIds: part.cache ? rows : sampleIds,
          sampling: samplingAt(plan, state),
          seed: part.seed,
          mixture: role === 'student' ? read(plan, state, `sources.${part.part}.mixture`) : 0,
          cache: part.cache,
        };
      }),
  );
}

function replayedParts(plan: SizedStagePlan, state: StageState, part: ReplayPart): readonly BatchPartPlan[] {
  return pickRows(part, state.replay[part.part] ?? [], state.step).map(({ drawn, picks }) => ({
    from: 'rollout',
    part: part.part,
    handle: keptHandle(part, drawn),
    picks,
    size: picks.length,
    age: state.studentStep - studentStepAt(plan, drawn),
  }));
}

function generatedParts(plan: SizedStagePlan, state: StageState, part: PartPlan): readonly BatchPartPlan[] {
  const place = placeOf(state.step, plan.iteration);
  const minibatch = minibatchAt(part, place, plan.iteration);
  const origin = originOf(plan, state, part, minibatch);
  if (origin === 'dataset') {
    const draw = partDraw(plan, part, place.iteration, minibatch);
    return [{ from: 'dataset', part: part.part, dataset: part.dataset, ...draw }];
  }
  if (origin === 'replayed' && isReplayed(part)) return replayedParts(plan, state, part);
  const handle = rolloutHandle(part, state.step, place, minibatch);
  const age = state.studentStep - studentStepAt(plan, state.step - place.within);
  return [{ from: 'rollout', part: part.part, handle, picks: null, size: part.rows, age }];
}

/** The rows of a step's batch; a part that replays has an entry for each rollout that it takes rows of. */
export function partsAt(plan: SizedStagePlan, state: StageState): readonly BatchPartPlan[] {
  return plan.parts.flatMap((part) => {
    if (part.from !== 'dataset') return generatedParts(plan, state, part);
    const { iteration, within } = placeOf(state.step, plan.iteration);
    const draw = partDraw(plan, part, iteration, within);
    return [{ from: 'dataset' as const, part: part.part, dataset: part.dataset, ...draw }];
  });
}

/** Buffer handles used for the last time at a step: in the last epoch, or because the stage ends here. */
function releasedOfIteration(plan: SizedStagePlan, state: StageState): readonly string[] {
  const { step } = state;
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
      const minibatch = minibatchAt(part, at, plan.iteration);
      if (originOf(plan, state, part, minibatch) === 'fresh')
        handles.add(rolloutHandle(part, step, at, minibatch));
    }
  }
  return [...handles];
}

/** Buffer handles that no later step uses. */
export function releasedAt(plan: SizedStagePlan, state: StageState): readonly string[] {
  const dropped = plan.parts
    .filter(isReplayed)
    .flatMap((part) => replayTurn(plan, state, part).dropped.map((drawn) => keptHandle(part, drawn)));
  return [...releasedOfIteration(plan, state), ...dropped];
}
