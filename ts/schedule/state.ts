import { z } from 'zod';
import { AmmdError } from '../common/errors.js';
import type { SizedStagePlan } from '../plan/types.js';
import type { StageState } from './types.js';
import { countOf, valueAt } from './value.js';

/** A saved controller state that does not belong to the plan it should continue. */
export class StateError extends AmmdError {
  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super('state', message, {
      ...options,
      hint: 'resume with the configuration that the run was started with',
    });
  }
}

const counter = z.int().min(0);
const stageState = z.strictObject({
  version: z.literal(1),
  step: counter,
  studentStep: counter,
  criticTurns: counter,
});

export const INITIAL_STATE: StageState = Object.freeze({
  version: 1,
  step: 0,
  studentStep: 0,
  criticTurns: 0,
});

export const isDone = (plan: SizedStagePlan, state: StageState): boolean => state.step >= plan.steps;

/** Whether only the critics learn: for the first `warmup_steps` steps. */
export const inCriticWarmup = (plan: SizedStagePlan, state: StageState): boolean =>
  state.step < plan.adversary.warmup_steps;

const studentStepAt = (plan: SizedStagePlan, step: number) => Math.max(0, step - plan.adversary.warmup_steps);

/** K, ascent steps of the critics in a step; 0 without critics that learn. */
export function turnsAt(plan: SizedStagePlan, studentStep: number): number {
  if (plan.critics.every(({ trained }) => !trained)) return 0;
  return countOf(valueAt(plan.adversary.turns, studentStep, plan.studentSteps));
}

/** The state after a step: K turns of the critics, and one of the student unless they warm up. */
export function advance(plan: SizedStagePlan, state: StageState): StageState {
  if (isDone(plan, state)) throw new RangeError(`stage ${plan.name} has only ${plan.steps} steps`);
  return {
    version: 1,
    step: state.step + 1,
    studentStep: state.studentStep + (inCriticWarmup(plan, state) ? 0 : 1),
    criticTurns: state.criticTurns + turnsAt(plan, state.studentStep),
  };
}

function turnsBefore(plan: SizedStagePlan, steps: number): number {
  let turns = 0;
  for (let step = 0; step < steps; step += 1) turns += turnsAt(plan, studentStepAt(plan, step));
  return turns;
}

/**
 * Reads a state that was saved as JSON, and checks that this plan could have reached it.
 *
 * @throws StateError
 */
export function restoreState(plan: SizedStagePlan, saved: unknown): StageState {
  const parsed = stageState.safeParse(saved);
  if (!parsed.success) throw new StateError('the saved controller state is damaged', { cause: parsed.error });
  const state = parsed.data;
  const studentStep = studentStepAt(plan, state.step);
  if (
    state.step > plan.steps ||
    state.studentStep !== studentStep ||
    state.criticTurns !== turnsBefore(plan, state.step)
  ) {
    throw new StateError(`the saved controller state is of another plan than that of stage ${plan.name}`);
  }
  return state;
}
