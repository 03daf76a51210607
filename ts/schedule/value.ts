import type { Schedule, SimpleSchedule } from '../config/schema.js';

type Sequence = Extract<Schedule, { readonly kind: 'sequence' }>;

/** Value where the schedule begins, warm-up left out. */
export function startValue(schedule: Schedule): number {
  if (schedule.kind === 'constant') return schedule.value;
  if (schedule.kind === 'sequence') {
    const [first] = schedule.pieces;
    return first === undefined ? 0 : startValue(first.shape);
  }
  return schedule.from;
}

function simpleAt(schedule: SimpleSchedule, step: number, steps: number): number {
  if (schedule.kind === 'constant') return schedule.value;
  if (schedule.kind === 'step') return schedule.from * schedule.factor ** Math.floor(step / schedule.every);
  const progress = Math.min(step / (schedule.over ?? Math.max(1, steps)), 1);
  const left = schedule.kind === 'linear' ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2;
  return schedule.to + (schedule.from - schedule.to) * left;
}

/** The piece that a step lies in, on that piece's own clock; past all of them it is the last. */
function sequenceAt({ pieces }: Sequence, step: number): number {
  let start = 0;
  for (const { steps, shape } of pieces.slice(0, -1)) {
    if (step < start + steps) return valueAt(shape, step - start, steps);
    start += steps;
  }
  const last = pieces[pieces.length - 1];
  return last === undefined ? 0 : valueAt(last.shape, step - start, last.steps);
}

/**
 * Value of a schedule at a step of the student.
 *
 * In warm-up the value rises linearly and is above 0 from the first step on: (step + 1) / (warmup + 1) of the
 * start. After it, linear and cosine go from `from` (exactly, at the first step) towards `to`, which they
 * would reach one step after the last: no step is spent at a learning rate of 0.
 *
 * @param step - 0-based step of the student
 * @param steps - steps of the student in the stage, or of the piece of a sequence
 * @param moved - where an adaptive schedule has moved to; other kinds ignore it
 */
export function valueAt(schedule: Schedule, step: number, steps: number, moved?: number): number {
  const { kind, warmup } = schedule;
  const level = kind === 'adaptive' ? (moved ?? schedule.from) : startValue(schedule);
  if (step < warmup) return (level * (step + 1)) / (warmup + 1);
  if (kind === 'adaptive') return level;
  if (kind === 'sequence') return sequenceAt(schedule, step - warmup);
  return simpleAt(schedule, step - warmup, steps - warmup);
}
