import type { SizedStagePlan } from '../plan/types.js';
import type { StageState } from './types.js';

export const isDone = (plan: SizedStagePlan, { step }: Pick<StageState, 'step'>): boolean =>
  step >= plan.steps;

/** Whether only the critics learn: for the first `warmup_steps` steps. */
export const inCriticWarmup = (plan: SizedStagePlan, { step }: Pick<StageState, 'step'>): boolean =>
  step < plan.adversary.warmup_steps;

/** Steps of the student finished when `step` steps are: its clock stands at 0 while critics warm up. */
export const studentStepAt = (plan: SizedStagePlan, step: number): number =>
  Math.max(0, step - plan.adversary.warmup_steps);
