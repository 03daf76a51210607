import type { SizedStagePlan } from '../../../ts/plan/types.js';
import { observe } from '../../../ts/schedule/adaptive.js';
import { isDone } from '../../../ts/schedule/clock.js';
import { advance, INITIAL_STATE } from '../../../ts/schedule/state.js';
import { planStep } from '../../../ts/schedule/step.js';
import type { StageState, StepPlan } from '../../../ts/schedule/types.js';

/** One step with the states around it. */
export interface Walked {
  readonly plan: StepPlan;
  readonly before: StageState;
  readonly after: StageState;
}

/**
 * The steps of a stage as the run loop goes through them, evaluations included.
 *
 * @param figures - what the evaluation after so many steps says, by metric
 */
export function walk(
  plan: SizedStagePlan,
  figures: (step: number) => Readonly<Record<string, number>> = () => ({}),
  from: StageState = INITIAL_STATE,
): readonly Walked[] {
  const steps: Walked[] = [];
  let before = from;
  while (!isDone(plan, before)) {
    const step = planStep(plan, before);
    const done = advance(plan, before);
    const after = step.evaluate ? observe(plan, done, figures(done.step)) : done;
    steps.push({ plan: step, before, after });
    before = after;
  }
  return steps;
}
