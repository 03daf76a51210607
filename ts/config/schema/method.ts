import { z } from 'zod';
import { count, type DeepReadonly, name, optimizer, positiveCount } from './common.js';
import { boundedSchedule } from './schedule.js';

const source = z.strictObject({
  from: z
    .enum(['dataset', 'student', 'teacher'])
    .describe(
      "Responses of the dataset, or drawn from the student or the teacher on the dataset's prompts; P",
    ),
  share: z.number().gt(0).max(1).describe('Share of the rows of each batch; the shares sum to 1'),
  data: name
    .nullable()
    .default(null)
    .describe("Dataset of this part; null takes the stage's training set; C"),
});

const term = z.strictObject({
  objective: z.string().min(1).max(64).describe('Name of an objective: cross_entropy, forward_kl, moment, …'),
  part: name.describe('A part of the batch, or all'),
  critic: name.nullable().default(null).describe('Critic whose values the objective takes'),
  weight: boundedSchedule(-1e6, 1e6)
    .default({ kind: 'constant', value: 1, warmup: 0 })
    .describe("Factor of the term's mean; number or schedule; C"),
  scale: z
    .enum(['none', 'on_policy_weight', 'off_policy_weight'])
    .default('none')
    .describe('Further factor: on_policy_weight w, or off_policy_weight = 1 - w; P'),
  params: z
    .record(name, z.number().min(-1e6).max(1e6))
    .default({})
    .describe('Parameters of the objective, for example beta, alpha, temperature'),
});

const critic = z.strictObject({
  part: name.describe('Part of the batch on which the critic ascends, or all; P: one critic per policy'),
  head: z
    .enum(['bilinear', 'linear', 'mlp'])
    .default('bilinear')
    .describe('How values come from features; bilinear uses the frozen output embedding; C'),
  features: z
    .enum(['teacher', 'student'])
    .default('teacher')
    .describe("Whose last hidden state the critic sees; C: the teacher's does not move"),
  hidden_size: z.int().min(1).max(65_536).default(128).describe("Width of the critic's MLP; C"),
  bound: z
    .enum(['tanh', 'mixture', 'student'])
    .default('mixture')
    .describe(
      'tanh: values in [-B, B]; otherwise a penalty ½ E_μ f², μ the mixture of both policies or the student; D',
    ),
  bound_value: z.number().gt(0).max(1000).default(2).describe('B; D: the mixture penalty keeps f within ±2'),
});

const adversary = z
  .strictObject({
    turns: z
      .int()
      .min(1)
      .max(1000)
      .default(1)
      .describe('K, ascent steps of the critics per step of the student; P: the game, C: the number'),
    warmup_steps: count
      .default(0)
      .describe('Steps at the start in which only the critics learn, in addition to the training steps; C'),
    lr_ratio: z
      .number()
      .gt(0)
      .max(1e4)
      .default(1)
      .describe("Learning rate of the critics = this times the student's; C"),
    clip_norm: z
      .number()
      .min(0)
      .max(1e6)
      .default(1)
      .describe('Largest gradient norm of each critic; 0 is off; C'),
    optimizer: optimizer.describe('AdamW of the critics'),
  })
  .prefault({})
  .describe('Turns of critics and student');

const iteration = z
  .strictObject({
    minibatches: positiveCount
      .default(1)
      .describe(
        'Batches whose generated rows are drawn together, from one policy, before the first is used; C',
      ),
    epochs: z
      .int()
      .min(1)
      .max(1000)
      .default(1)
      .describe('Passes over them; an iteration has minibatches × epochs steps; C'),
  })
  .prefault({})
  .describe('Shape of an iteration; one batch, used once, unless stated');

export const method = z.strictObject({
  name: name.describe("The method's name, for tables"),
  sources: z.record(name, source).describe('Parts of each batch, by name; their shares sum to 1'),
  on_policy_weight: boundedSchedule(0, 1)
    .default({ kind: 'constant', value: 0.5, warmup: 0 })
    .describe(
      'w, the weight of the on-policy side of the game; 0 to 1, number or schedule; P: the factor, C: 0.5',
    ),
  terms: z.record(name, term).describe("Terms of the student's objective, by name"),
  critics: z.record(name, critic).default({}).describe('Critics, by name'),
  adversary,
  iteration,
});

export type SourceConfig = DeepReadonly<z.output<typeof source>>;
export type TermConfig = DeepReadonly<z.output<typeof term>>;
export type CriticConfig = DeepReadonly<z.output<typeof critic>>;
export type AdversaryConfig = DeepReadonly<z.output<typeof adversary>>;
export type IterationConfig = DeepReadonly<z.output<typeof iteration>>;
export type MethodConfig = DeepReadonly<z.output<typeof method>>;
