import type { Schedule } from '../config/schema.js';

/** Value where the schedule begins, warm-up left out. */
export function startValue(schedule: Schedule): number {
  return schedule.kind === 'constant' ? schedule.value : schedule.from;
}

function shapeAt(schedule: Schedule, step: number, steps: number): number {
  if (schedule.kind === 'constant') return schedule.value;
  if (schedule.kind === 'step') return schedule.from * schedule.factor ** Math.floor(step / schedule.every);
  const progress = Math.min(step / (schedule.over ?? Math.max(1, steps)), 1);
  const left = schedule.kind === 'linear' ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2;
  return schedule.to + (schedule.from - schedule.to) * left;
}

/**
 * Value of a schedule at a step of the student.
 *
 * In warm-up the value rises linearly and is above 0 from the first step on: (step + 1) / (warmup + 1) of the
 * start. After it, linear and cosine go from `from` (exactly, at the first step) towards `to`, which they
 * would reach one step after the last: no step is spent at a learning rate of 0.
 *
 * @param step - 0-based step of the student
 * @param steps - steps of the student in the stage
 */
export function valueAt(schedule: Schedule, step: number, steps: number): number {
  const { warmup } = schedule;
  if (step < warmup) return (startValue(schedule) * (step + 1)) / (warmup + 1);
  return shapeAt(schedule, step - warmup, steps - warmup);
}
