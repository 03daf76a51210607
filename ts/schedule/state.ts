import { z } from 'zod';
import { AmmdError } from '../common/errors.js';
import type { SizedStagePlan } from '../plan/types.js';
import { inCriticWarmup, isDone, studentStepAt } from './clock.js';
import { read } from './read.js';
import { isReplayed, replayTurn } from './replay.js';
import type { StageState } from './types.js';

/** A saved controller state that does not belong to the plan it should continue. */
export class StateError extends AmmdError {
  readonly code = 'state';

  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super(message, {
      ...options,
      hint: 'resume with the configuration that the run was started with',
    });
  }
}

const counter = z.int().min(0);
const stageState = z.strictObject({
  version: z.literal(2),
  step: counter,
  studentStep: counter,
  criticTurns: counter,
  adaptive: z.record(z.string(), z.strictObject({ moves: counter, mark: z.number() })),
  replay: z.record(z.string(), z.array(counter)),
});

export const INITIAL_STATE: StageState = Object.freeze({
  version: 2,
  step: 0,
  studentStep: 0,
  criticTurns: 0,
  adaptive: {},
  replay: {},
});

/** K, ascent steps of the critics in a step; 0 without critics that learn. */
export function turnsAt(plan: SizedStagePlan, state: Pick<StageState, 'studentStep' | 'adaptive'>): number {
  return plan.critics.some(({ trained }) => trained) ? read(plan, state, 'adversary.turns') : 0;
}

/** The state after a step: K turns of the critics, and one of the student unless they warm up. */
export function advance(plan: SizedStagePlan, state: StageState): StageState {
  if (isDone(plan, state)) throw new RangeError(`stage ${plan.name} has only ${plan.steps} steps`);
  const kept = plan.parts
    .filter(isReplayed)
    .map((part) => [part.part, replayTurn(plan, state, part).kept] as const);
  return {
    version: 2,
    step: state.step + 1,
    studentStep: state.studentStep + (inCriticWarmup(plan, state) ? 0 : 1),
    criticTurns: state.criticTurns + turnsAt(plan, state),
    adaptive: state.adaptive,
    replay: Object.fromEntries(kept),
  };
}

/**
 * Reads a state that was saved as JSON, and checks that its steps are those of this plan. More is for its checkpoint to
 * vouch for, which names the configuration and the state's hash.
 *
 * @throws StateError
 */
export function restoreState(plan: SizedStagePlan, saved: unknown): StageState {
  const parsed = stageState.safeParse(saved);
  if (!parsed.success) throw new StateError('the saved controller state is damaged', { cause: parsed.error });
  const state = parsed.data;
  if (state.step > plan.steps || state.studentStep !== studentStepAt(plan, state.step))
    throw new StateError(`the saved controller state is of another plan than that of stage ${plan.name}`);
  return state;
}
