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
function rolloutHandle(part: PartPlan, step: number, place: IterationPlace): string {
  if (isReplayed(part)) return keptHandle(part, step);
  if (place.length === 1) return `step:${step}/rollout.${part.part}`;
  return `buffer/${part.part}.${place.iteration}`;
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

/** Minibatches of the present iteration whose rows are drawn anew, in the order that the rollout has them. */
function drawnMinibatches(plan: SizedStagePlan, state: StageState, part: PartPlan): readonly number[] {
  return Array.from({ length: plan.iteration.minibatches }, (_, minibatch) => minibatch).filter(
    (minibatch) => originOf(plan, state, part, minibatch) === 'fresh',
  );
}

/** Responses to draw at a step: all of the iteration's at its start, none later. One rollout of a part fills more slots. */
export function rolloutsAt(plan: SizedStagePlan, state: StageState): readonly RolloutPlan[] {
  const place = placeOf(state.step, plan.iteration);
  if (place.within > 0) return [];
  return generated(plan).flatMap(({ part, role }) => {
    const draws = drawnMinibatches(plan, state, part).map((minibatch) =>
      partDraw(plan, part, place.iteration, minibatch),
    );
    if (draws.length === 0) return [];
    const rows = draws.flatMap((draw) => draw.rows);
    const rollout: RolloutPlan = {
      handle: rolloutHandle(part, state.step, place),
      part: part.part,
      role,
      dataset: part.dataset,
      rows,
      // One id for all epochs is one response for all epochs, which the cache then has.
      sampleIds: part.cache ? rows : draws.flatMap((draw) => draw.sampleIds),
      sampling: samplingAt(plan, state),
      seed: part.seed,
      mixture: role === 'student' ? read(plan, state, `sources.${part.part}.mixture`) : 0,
      cache: part.cache,
    };
    return [rollout];
  });
}

/** Which rows of the iteration's rollout a minibatch has; null where they are all. */
function picksOf(part: PartPlan, drawn: readonly number[], minibatch: number): readonly number[] | null {
  if (drawn.length === 1) return null;
  const first = drawn.indexOf(minibatch) * part.rows;
  return Array.from({ length: part.rows }, (_, row) => first + row);
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
  const handle = rolloutHandle(part, state.step, place);
  const picks = picksOf(part, drawnMinibatches(plan, state, part), minibatch);
  const age = state.studentStep - studentStepAt(plan, state.step - place.within);
  return [{ from: 'rollout', part: part.part, handle, picks, size: part.rows, age }];
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

/** Buffer handles of an iteration that ends at a step, perhaps because the stage does. */
function releasedOfIteration(plan: SizedStagePlan, state: StageState): readonly string[] {
  const place = placeOf(state.step, plan.iteration);
  const ends = place.within === place.length - 1 || state.step === plan.steps - 1;
  if (place.length === 1 || !ends) return [];
  return generated(plan)
    .filter(({ part }) => drawnMinibatches(plan, state, part).length > 0)
    .map(({ part }) => rolloutHandle(part, state.step, place));
}

/** Buffer handles that no later step uses. */
export function releasedAt(plan: SizedStagePlan, state: StageState): readonly string[] {
  const dropped = plan.parts
    .filter(isReplayed)
    .flatMap((part) => replayTurn(plan, state, part).dropped.map((drawn) => keptHandle(part, drawn)));
  return [...releasedOfIteration(plan, state), ...dropped];
}
