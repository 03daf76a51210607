import { z } from 'zod';
import { LOSSES, SCORES } from '../metrics.js';
import { name, positiveCount, seed } from './common.js';

/** A path of the run configuration, for example `stages.ammd.training.lr.from`. */
const path = z
  .string()
  .max(256)
  .regex(/^[^.\s=]+(\.[^.\s=]+)*$/, 'expected a path of the run, for example stages.ammd.training.lr.from');

const range = <Bound extends z.ZodType<number>>(bound: Bound) =>
  z.tuple([bound, bound]).refine((bounds) => Number(bounds[0]) < Number(bounds[1]), {
    error: 'expected [low, high], low below high',
  });

const values = z.strictObject({
  values: z
    .array(z.json())
    .min(1)
    .max(1000)
    .refine((all) => new Set(all.map((value) => JSON.stringify(value))).size === all.length, {
      error: 'a value occurs twice',
    })
    .describe('One of these'),
});
const uniform = z.strictObject({ uniform: range(z.number()).describe('[low, high]: any number between') });
const logUniform = z.strictObject({
  log_uniform: range(z.number().gt(0)).describe('[low, high]: any number between, its logarithm evenly'),
});
const int = z
  .strictObject({
    int: range(z.int()).describe('[low, high]: a whole number between, both included'),
    step: positiveCount.default(1).describe('From one to the next, from low on; C'),
    log: z.boolean().default(false).describe('Draw the logarithm evenly; not with a step; C'),
  })
  .refine(({ log, step, int: [low] }) => !log || (step === 1 && low > 0), {
    error: '`log` needs a low above 0 and no step',
    path: ['log'],
  });

const dimension = z.union([values, uniform, logUniform, int], {
  error: 'expected {values: […]}, {uniform: [low, high]}, {log_uniform: [low, high]} or {int: [low, high]}',
});

const objective = z.strictObject({
  dataset: name
    .nullable()
    .default(null)
    .describe('Dataset of the stage that it is judged on; null is its validation set; C'),
  metric: z.enum([...SCORES, ...LOSSES]).describe("A name of the stage's `metrics` or `measure`"),
  decoding: z
    .enum(['sampled', 'greedy', 'teacher_forced'])
    .nullable()
    .default(null)
    .describe(
      'sampled: mean over the decoding seeds; teacher_forced: on own responses; null: teacher_forced for `measure`, else sampled where there are seeds; C',
    ),
  mode: z
    .enum(['max', 'min'])
    .nullable()
    .default(null)
    .describe('Which end is better; null: more of `metrics`, less of `measure`'),
  allow_test: z
    .boolean()
    .default(false)
    .describe(
      'Judge on a test set all the same; what is then measured on it was chosen by it, and says nothing of new data; C',
    ),
});

const search = z.strictObject({
  kind: z
    .enum(['grid', 'random', 'tpe'])
    .default('tpe')
    .describe('Every point once in random order, independent draws, or tree-structured Parzen estimators; C'),
  trials: positiveCount
    .nullable()
    .default(null)
    .describe('Trials in all, failed ones too; null is every point of a grid'),
  seed: seed.default(0).describe('Seed of the search; the runs have their own; C'),
  startup_trials: positiveCount.default(10).describe('Random trials before TPE has enough to go by; C'),
});

const pruning = z
  .strictObject({
    kind: z.literal('asha').default('asha').describe('Asynchronous successive halving'),
    min_steps: positiveCount.describe('Student steps before which no trial is stopped'),
    reduction_factor: z
      .int()
      .min(2)
      .max(100)
      .default(3)
      .describe('Of the trials at min_steps · factor^k steps, one in so many goes on; C'),
  })
  .nullable()
  .default(null)
  .describe('Stop trials that are behind in evaluations during training; null: never');

export const sweep = z.strictObject({
  name: name.describe('Name of the sweep; begins the name of its folder'),
  run: z.string().min(1).max(4096).describe('Run configuration that is varied, by name or path'),
  set: z
    .record(path, z.json())
    .default({})
    .describe('Settings of the run by path, for all trials and for the best run that is written'),
  stage: name.describe(
    'The stage whose student is judged; stages that it takes models from are trained once',
  ),
  space: z
    .record(path, dimension)
    .refine((space) => Object.keys(space).length > 0, { error: 'expected at least one path' })
    .describe(
      'What is varied, by path of the run: one of some `values`, a number of a `uniform` or `log_uniform` range, a whole number of an `int` range',
    ),
  search: search.prefault({}).describe('How it is searched'),
  pruning,
  objective: objective.describe('By what trials are judged'),
  students: z
    .enum(['all', 'best'])
    .default('all')
    .describe(
      "Whose trained students stay in the sweep's folder: those of all trials, or that of the best so far, for models of which a disk has no room for as many as there are trials; C",
    ),
});

export type Dimension = Readonly<z.output<typeof dimension>>;
export type SweepConfig = Readonly<z.output<typeof sweep>>;
