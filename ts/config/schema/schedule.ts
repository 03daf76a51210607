import { z } from 'zod';
import { count, type DeepReadonly, positiveCount } from './common.js';

const warmup = count
  .default(0)
  .describe('Steps of a linear ramp from 0 to the value, before the shape begins; student steps; C');
const from = z.number().describe('Value at the start');
const to = z.number().describe('Value at the end');
const over = positiveCount
  .nullable()
  .default(null)
  .describe('Student steps from `from` to `to`, warm-up excluded; null takes all steps of the stage; C');

const shapes = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({
      kind: z.literal('constant').describe('Shape'),
      value: z.number().describe('The value'),
      warmup,
    }),
    z.strictObject({ kind: z.literal('linear').describe('Shape'), from, to, warmup, over }),
    z.strictObject({ kind: z.literal('cosine').describe('Shape'), from, to, warmup, over }),
    z.strictObject({
      kind: z.literal('step').describe('Shape'),
      from,
      factor: z.number().gt(0).max(1).describe('Multiplies the value every `every` steps'),
      every: positiveCount.describe('Steps between two multiplications; student steps'),
      warmup,
    }),
  ],
  { error: 'expected a number or a mapping with kind: constant, linear, cosine or step' },
);

/** A number stands for a constant; the resolved form always has a kind. */
export const schedule = z.preprocess(
  (value) => (typeof value === 'number' ? { kind: 'constant', value } : value),
  shapes,
);

export type Schedule = DeepReadonly<z.output<typeof shapes>>;

/** The extreme values a schedule takes after its warm-up: both ends of its range. */
export function scheduleEnds(value: Schedule): readonly [number, number] {
  switch (value.kind) {
    case 'constant':
      return [value.value, value.value];
    case 'step':
      return [value.from, 0];
    default:
      return [value.from, value.to];
  }
}

/** A schedule whose every value lies in [low, high]; warm-up starts near 0, so `low` is at most 0. */
export function boundedSchedule(low: number, high: number) {
  return schedule.refine((value) => scheduleEnds(value).every((end) => end >= low && end <= high), {
    error: `every value must be from ${low} to ${high}`,
  });
}
