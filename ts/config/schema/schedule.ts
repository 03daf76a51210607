import { z } from 'zod';
import { longForm } from '../shorthand.js';
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

/** Shapes whose value follows from the step alone, and that begin and end where they say. */
const simple = [
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
] as const;

/** A number stands for a constant; the resolved form always has a kind. */
const constantOf = (value: unknown) => longForm(value) ?? value;

const simpleShapes = z.discriminatedUnion('kind', simple, {
  error: 'expected a number or a mapping with kind: constant, linear, cosine or step',
});
export const simpleSchedule = z.preprocess(constantOf, simpleShapes);

const sequence = z.strictObject({
  kind: z.literal('sequence').describe('Several shapes, one after the other'),
  pieces: z
    .array(
      z.strictObject({
        steps: positiveCount.describe('Its length; the last goes on to the end; student steps'),
        shape: simpleSchedule.describe('Runs from 0 at the start of the piece; `over: null` is its length'),
      }),
    )
    .min(1)
    .max(64)
    .describe('What comes after what'),
  warmup,
});

const adaptive = z.strictObject({
  kind: z.literal('adaptive').describe("Moves when an evaluation got no better: DistiLLM's rule"),
  from,
  to: z.number().describe('Where it moves, never past'),
  increment: z.number().gt(0).describe('How far a move goes; R: 0.1'),
  metric: z.string().min(1).describe('Watched on the validation set: a name of `metrics` or `measure`'),
  mode: z
    .enum(['min', 'max'])
    .nullable()
    .default(null)
    .describe('Which end of the metric is better; null: more of `metrics`, less of `measure`; C'),
  tolerance: z
    .number()
    .min(0)
    .default(0)
    .describe(
      'It moves when the metric is not below (max: above) that at the last move, plus (minus) this; an evaluation before the first step sets the mark; C',
    ),
  warmup,
});

const all = [...simple, sequence, adaptive] as const;

/** Every `kind` of schedule, with its keys. */
export const KINDS: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  all.map(({ shape }) => [shape.kind.value, new Set(Object.keys(shape))]),
);

const shapes = z.discriminatedUnion('kind', all, {
  error: 'expected a number or a mapping with kind: constant, linear, cosine, step, sequence or adaptive',
});

export const schedule = z.preprocess(constantOf, shapes);

export type SimpleSchedule = DeepReadonly<z.output<typeof simpleShapes>>;
export type AdaptiveSchedule = DeepReadonly<z.output<typeof adaptive>>;
export type Schedule = DeepReadonly<z.output<typeof shapes>>;

/** The extreme values that a schedule takes after its warm-up; shapes that decay for ever end at `limit`. */
export function scheduleEnds(value: Schedule, limit = 0): readonly number[] {
  switch (value.kind) {
    case 'constant':
      return [value.value];
    case 'step':
      return [value.from, limit];
    case 'sequence':
      return value.pieces.flatMap(({ shape }) => scheduleEnds(shape, limit));
    default:
      return [value.from, value.to];
  }
}

/** The value of a schedule that never changes, or null. */
export function constantValue(value: Schedule): number | null {
  const [first, ...others] = scheduleEnds(value);
  if (first === undefined || others.some((end) => end !== first)) return null;
  return warmsUp(value) ? null : first;
}

function warmsUp(value: Schedule): boolean {
  const ramps = value.kind === 'sequence' && value.pieces.some(({ shape }) => shape.warmup > 0);
  return value.warmup > 0 || ramps;
}

/** The least and the greatest value of a schedule, its warm-up from near 0 included. */
export function scheduleSpan(value: Schedule): readonly [low: number, high: number] {
  const ends = [...scheduleEnds(value), ...(warmsUp(value) ? [0] : [])];
  return [Math.min(...ends), Math.max(...ends)];
}

/** A schedule whose every value lies in [low, high]; warm-up starts near 0, so `low` is at most 0. */
export function boundedSchedule(low: number, high: number) {
  return schedule.refine((value) => scheduleEnds(value).every((end) => end >= low && end <= high), {
    error: `every value must be from ${low} to ${high}`,
  });
}

/** As `boundedSchedule`, but a number stays a number, so that only what moves is a schedule. */
export function boundedNumber(low: number, high: number) {
  return boundedSchedule(low, high).transform((value) =>
    value.kind === 'constant' && value.warmup === 0 ? value.value : value,
  );
}

/** A schedule of whole numbers from 1 to `high`; values between, and those of a warm-up, are rounded. */
export function countedSchedule(high: number) {
  return schedule.refine((value) => scheduleEnds(value, 1).every((end) => end >= 1 && end <= high), {
    error: `every value must be from 1 to ${high}`,
  });
}

/** A default: a schedule that never changes. */
export const constant = (value: number) => ({ kind: 'constant' as const, value, warmup: 0 });
