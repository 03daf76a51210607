import type { Sampling } from '../config/schema.js';
import type { PartPlan, SizedStagePlan } from '../plan/types.js';
import { isDone, studentStepAt } from './clock.js';
import { type IterationPlace, minibatchAt, partDraw, placeOf } from './iteration.js';
import { read } from './read.js';
import { isReplayed, pickRows, type ReplayPart, replayTurn } from './replay.js';
import { originOf } from './sources.js';
import type { BatchPartPlan, RolloutPlan, StageState } from './types.js';

/**
 * A rollout drawn and used in one step is freed with it; one used later lives in the buffer, also through a checkpoint.
 * The step in its name is the one that it was drawn for.
 */
function rolloutHandle(part: PartPlan, step: number, place: IterationPlace): string {
  if (isReplayed(part) || part.ahead) return keptHandle(part, step);
  if (place.length === 1) return `step:${step}/rollout.${part.part}`;
  return `buffer/${part.part}.${place.iteration}`;
}

const keptHandle = (part: PartPlan, step: number) => `buffer/${part.part}.${step}`;

interface Generated {
  readonly part: PartPlan;
  readonly role: RolloutPlan['role'];
}

const generated = (plan: SizedStagePlan): readonly Generated[] =>
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

/**
 * The rollout of a part that begins to be used at a state's step: an iteration's whole one at its start, none later.
 * One rollout of all minibatches fills more slots.
 */
function rolloutFor(
  plan: SizedStagePlan,
  state: StageState,
  { part, role }: Generated,
  ahead: boolean,
): readonly RolloutPlan[] {
  const place = placeOf(state.step, plan.iteration);
  if (place.within > 0) return [];
  const draws = drawnMinibatches(plan, state, part).map((minibatch) =>
    partDraw(plan, part, place.iteration, minibatch),
  );
  if (draws.length === 0) return [];
  const rows = draws.flatMap((draw) => draw.rows);
  return [
    {
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
      ahead,
    },
  ];
}

/** The state that the next step begins with, before an evaluation: none moves what a rollout drawn ahead follows from. */
function nextOf(plan: SizedStagePlan, state: StageState): StageState {
  const step = state.step + 1;
  return { ...state, step, studentStep: studentStepAt(plan, step) };
}

/**
 * Responses to draw at a step. A part that is drawn ahead draws for the next step, and for its own only in the first:
 * so what a step uses follows from its number, also after a resume. Those ahead come last, since they may take as long
 * as the rest of the step.
 */
export function rolloutsAt(plan: SizedStagePlan, state: StageState): readonly RolloutPlan[] {
  const all = generated(plan);
  const next = nextOf(plan, state);
  const now = all.filter(({ part }) => !part.ahead || state.step === 0);
  const later = isDone(plan, next) ? [] : all.filter(({ part }) => part.ahead);
  return [
    ...now.flatMap((one) => rolloutFor(plan, state, one, false)),
    ...later.flatMap((one) => rolloutFor(plan, next, one, true)),
  ];
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
    origin: 'replayed',
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
    const { rows } = partDraw(plan, part, place.iteration, minibatch);
    return [{ from: 'dataset', part: part.part, origin, dataset: part.dataset, rows }];
  }
  if (origin === 'replayed' && isReplayed(part)) return replayedParts(plan, state, part);
  const handle = rolloutHandle(part, state.step, place);
  const picks = picksOf(part, drawnMinibatches(plan, state, part), minibatch);
  const drawnAt = part.ahead ? Math.max(0, state.step - 1) : state.step - place.within;
  const age = state.studentStep - studentStepAt(plan, drawnAt);
  return [{ from: 'rollout', part: part.part, origin, handle, picks, size: part.rows, age }];
}

/** The rows of a step's batch; a part that replays has an entry for each rollout that it takes rows of. */
export function partsAt(plan: SizedStagePlan, state: StageState): readonly BatchPartPlan[] {
  return plan.parts.flatMap((part) => {
    if (part.from !== 'dataset') return generatedParts(plan, state, part);
    const { iteration, within } = placeOf(state.step, plan.iteration);
    const { rows } = partDraw(plan, part, iteration, within);
    return [{ from: 'dataset' as const, part: part.part, origin: null, dataset: part.dataset, rows }];
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
  const used = plan.parts
    .filter((part) => part.ahead && originOf(plan, state, part, 0) === 'fresh')
    .map((part) => keptHandle(part, state.step));
  return [...releasedOfIteration(plan, state), ...used, ...dropped];
}
