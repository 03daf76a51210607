import { z } from 'zod';
import { SCORES } from '../metrics.js';
import { count, type DeepReadonly, name, positiveCount, sampling, seed } from './common.js';

const setting = z
  .record(z.string().min(1).max(256), z.json())
  .default({})
  .describe('Settings by path, for example `training.lr.from: 4.0e-3`');

export const row = z.strictObject({
  stage: name.describe('Stage of the run that the row trains'),
  label: z.string().min(1).max(64).nullable().default(null).describe("Name in the table; null is the row's"),
  group: z
    .enum(['teacher', 'start', 'baseline', 'ours'])
    .default('baseline')
    .describe('What the row is; the teacher and the start have one seed and no tuning'),
  set: setting.describe('Settings of the stage, by path below it, laid over the run'),
  tune: z
    .boolean()
    .default(true)
    .describe('Whether its setting is chosen on the tuning set, where there is one'),
  hyperparameter: z
    .number()
    .nullable()
    .default(null)
    .describe('Place on the axis of a table over one setting'),
  reference: z
    .string()
    .min(1)
    .max(64)
    .nullable()
    .default(null)
    .describe('Method of the reference numbers that stand beside it; null for none'),
});

export const table = z.strictObject({
  title: z.string().min(1).max(200).describe('Title of the table'),
  data: z.array(name).min(1).max(32).describe('Test sets, in the order of the columns'),
  primary: z
    .strictObject({
      row: name.describe('The row that is compared'),
      data: name.describe('On this test set'),
      decoding: z.enum(['sampled', 'greedy']).default('sampled').describe('Decoded so'),
    })
    .nullable()
    .default(null)
    .describe(
      'The one comparison that is not corrected for their number: this row against the baseline that is best on the tuning set',
    ),
  rows: z.record(name, row).describe('Rows, by name, in order'),
});

export const profile = z.strictObject({
  name: name.describe('Name of the profile'),
  title: z.string().min(1).max(200).describe('What is trained, in words'),
  run: z
    .string()
    .min(1)
    .max(4096)
    .describe('Run configuration that has the stages, by name or path; their `data.test` is not used'),
  set: setting.describe('Settings of the run, by path'),
  metric: z.enum(SCORES).describe('Score of the tables'),
  seeds: z
    .strictObject({
      first: seed.describe('First training seed; the others follow. Not one that settings were chosen with'),
      count: z.int().min(1).max(1000).describe('Training seeds, unless `--seeds` says otherwise'),
    })
    .describe('Training seeds of every row but the teacher and the start, which have the seed of the run'),
  evaluation: z
    .strictObject({
      greedy: z.boolean().default(true).describe('Decode greedily, besides the seeds'),
      seeds: z.array(seed).min(1).max(64).default([10, 20, 30, 40, 50]).describe('Decoding seeds; R'),
      sampling,
      rows: positiveCount
        .nullable()
        .default(null)
        .describe('Rows of a test set, from the first; null is all'),
      samples: count.default(5).describe('Responses of each set kept as text; rows'),
    })
    .prefault({})
    .describe('Final evaluation of every student'),
  tuning: z
    .strictObject({
      data: name.describe('Dataset that no table is tested on'),
      setting: z.string().min(1).max(256).describe('What is chosen, by its path below a stage'),
      values: z
        .array(z.number())
        .max(64)
        .describe(
          'What is tried, the same for every row; [] leaves all as written, and only compares baselines',
        ),
      seed: seed.describe('Training seed, none of those of the tables'),
      rows: positiveCount
        .nullable()
        .default(null)
        .describe('Rows of the dataset, from the first; null is all'),
    })
    .nullable()
    .default(null)
    .describe(
      'One setting of each row, and the best baseline, are chosen before any test set is looked at; null: neither',
    ),
  reference: z
    .strictObject({
      family: z.string().min(1).max(64).describe('Family of models, as the reference numbers name it'),
      student: z.string().min(1).max(64).nullable().default(null).describe('Size of the student'),
      columns: z.record(name, z.string().min(1).max(64)).default({}).describe('Their name of each dataset'),
      decoding: z
        .enum(['sampled', 'greedy'])
        .default('sampled')
        .describe('Which of our figures they stand beside'),
    })
    .nullable()
    .default(null)
    .describe('Whose reference numbers stand beside ours; null for none'),
  not_comparable: z
    .string()
    .min(1)
    .max(300)
    .nullable()
    .default(null)
    .describe('Why those numbers cannot be compared with ours; null when they can'),
  parameters: z
    .record(name, z.int().min(1).max(Number.MAX_SAFE_INTEGER))
    .default({})
    .describe("Parameters of the run's models that the configuration does not tell, for estimates of cost"),
  tables: z
    .record(name, table)
    .describe(
      "The tables, by names of one's own; those of the paper are instruct, tasks, beta and dynamics, whose report has curves of the distances",
    ),
});

export type ProfileConfig = DeepReadonly<z.output<typeof profile>>;
export type TableConfig = DeepReadonly<z.output<typeof table>>;
export type RowConfig = DeepReadonly<z.output<typeof row>>;
