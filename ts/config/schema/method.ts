import { z } from 'zod';
import { count, type DeepReadonly, name, optimizer, positiveCount } from './common.js';
import { boundedSchedule, constant, countedSchedule } from './schedule.js';
import { source } from './source.js';
import { term } from './term.js';

/** w where nothing is said. */
export const DEFAULT_ON_POLICY_WEIGHT = constant(0.5);

/** AdVIL's. */
export const DEFAULT_PENALTY_TARGET = 0.4;

/** What one message holds (protocol/protocol.json): counts per part, updates of critics, terms of a step. */
const MOST = { sources: 16, critics: 16, terms: 32 } as const;

const atMost = <Value extends z.ZodType>(value: Value, most: number) =>
  z
    .record(name, value)
    .refine((entries) => Object.keys(entries).length <= most, { error: `expected at most ${most} entries` });

const critic = z.strictObject({
  part: name.describe('Part of the batch on which the critic ascends, or all; P: one critic per policy'),
  head: z
    .enum(['bilinear', 'linear', 'mlp', 'policy'])
    .default('bilinear')
    .describe(
      'How values come from features; bilinear uses the frozen output embedding; policy, for the form ratio, the whole frozen output head at corrected features, so that the guess begins as the policy itself; C',
    ),
  form: z
    .enum(['free', 'ratio'])
    .exactOptional()
    .describe(
      'free (where nothing is said): the head gives the values; ratio: it guesses at the student, and the values follow from the ratio of the teacher to that, which is the best critic once the guess is right (D); for the bound mixture; C',
    ),
  features: z
    .enum(['teacher', 'student'])
    .default('teacher')
    .describe("Whose last hidden state the critic sees; C: the teacher's does not move"),
  hidden_size: z.int().min(1).max(65_536).default(128).describe("Width of the critic's MLP; C"),
  rank: z
    .int()
    .min(0)
    .max(65_536)
    .default(16)
    .describe(
      'Trained numbers per token that a bilinear or policy head has beside the frozen embedding; 0 is none; C',
    ),
  bound: z
    .enum(['tanh', 'mixture', 'student'])
    .default('mixture')
    .describe(
      'tanh: values in [-B, B]; otherwise a penalty ½ E_μ f², μ the mixture of both policies or the student; D',
    ),
  bound_value: z.number().gt(0).max(1000).default(2).describe('B; D: the mixture penalty keeps f within ±2'),
  trained: z
    .boolean()
    .default(true)
    .describe('false: a random critic that never learns, to see what learning adds; C'),
  spectral_norm: z
    .boolean()
    .default(false)
    .describe('Keep the largest singular value of each weight matrix at 1; C'),
  gradient_penalty: z
    .number()
    .min(0)
    .max(1e6)
    .default(0)
    .describe('Weight of the gradient penalty, 0 is off; R: AdVIL 10'),
  gradient_penalty_target: z
    .number()
    .min(0)
    .max(1e6)
    .default(DEFAULT_PENALTY_TARGET)
    .describe('Gradient norm that the penalty pulls to; R: AdVIL'),
  target_decay: z
    .number()
    .min(0)
    .lt(1)
    .nullable()
    .default(null)
    .describe(
      "The student sees an average of the critic's weights that decays by this a turn; null: the critic itself; C",
    ),
});

const adversary = z
  .strictObject({
    turns: countedSchedule(1000)
      .default(constant(1))
      .describe(
        'K, ascent steps of the critics per step of the student, rounded; number or schedule; P: the game, C: the number',
      ),
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

/** What turns are where nothing is said. */
export const DEFAULT_ADVERSARY: DeepReadonly<z.output<typeof adversary>> = adversary.parse({});

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
  sources: atMost(source, MOST.sources).describe(
    'Parts of each batch, by name; their shares sum to 1; at most 16',
  ),
  on_policy_weight: boundedSchedule(0, 1)
    .default(DEFAULT_ON_POLICY_WEIGHT)
    .describe(
      'w, the weight of the on-policy side of the game; 0 to 1, number or schedule; P: the factor, C: 0.5',
    ),
  terms: atMost(term, MOST.terms).describe("Terms of the student's objective, by name; at most 32"),
  critics: atMost(critic, MOST.critics).default({}).describe('Critics, by name; at most 16'),
  adversary,
  iteration,
});

export type CriticConfig = DeepReadonly<z.output<typeof critic>>;
export type AdversaryConfig = DeepReadonly<z.output<typeof adversary>>;
export type IterationConfig = DeepReadonly<z.output<typeof iteration>>;
export type MethodConfig = DeepReadonly<z.output<typeof method>>;
