import { constantValue } from '../config/schema.js';
import type { SizedStagePlan } from '../plan/types.js';
import { movedTo } from './adaptive.js';
import type { StageState } from './types.js';
import { valueAt } from './value.js';

/** Schedules of whole numbers, at least 1. */
const COUNTED: ReadonlySet<string> = new Set(['adversary.turns', 'rollout.max_new_tokens']);

/**
 * Value of one of the plan's schedules, by its name, on the clock of the student.
 *
 * @throws RangeError when the plan has no such schedule
 */
export function read(
  plan: SizedStagePlan,
  { studentStep, adaptive }: Pick<StageState, 'studentStep' | 'adaptive'>,
  name: string,
): number {
  const schedule = plan.schedules[name];
  if (schedule === undefined) throw new RangeError(`stage ${plan.name} has no schedule ${name}`);
  const moved = schedule.kind === 'adaptive' ? movedTo(schedule, adaptive[name]?.moves ?? 0) : undefined;
  const value = valueAt(schedule, studentStep, plan.studentSteps, moved);
  return COUNTED.has(name) ? Math.max(1, Math.round(value)) : value;
}

/** What the schedules that change give, by name, but for the student's learning rate, which a step has anyway. */
export function changingAt(plan: SizedStagePlan, state: StageState): Readonly<Record<string, number>> {
  const changing = Object.entries(plan.schedules).filter(
    ([name, schedule]) => name !== 'training.lr' && constantValue(schedule) === null,
  );
  return Object.fromEntries(changing.map(([name]) => [name, read(plan, state, name)]));
}

/**
 * What every schedule of a stage gives at these steps of the student, by name. An adaptive one stays at its start:
 * where it moves is known only as evaluations come.
 */
export function curvesOf(
  plan: SizedStagePlan,
  steps: readonly number[],
): Readonly<Record<string, readonly number[]>> {
  const curve = (name: string) => steps.map((studentStep) => read(plan, { studentStep, adaptive: {} }, name));
  return Object.fromEntries(Object.keys(plan.schedules).map((name) => [name, curve(name)]));
}
