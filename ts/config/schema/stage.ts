import { z } from 'zod';
import { ENGINE_CHOICES } from '../engines.js';
import { LOSSES, SCORES } from '../metrics.js';
import { count, type DeepReadonly, name, optimizer, positiveCount, sampling, seed } from './common.js';
import { lora } from './lora.js';
import { method } from './method.js';
import { modelReference } from './models.js';
import { order } from './order.js';
import { boundedSchedule, countedSchedule } from './schedule.js';

const training = z
  .strictObject({
    steps: positiveCount.nullable().default(null).describe('Steps of the student; give steps or epochs'),
    epochs: z
      .number()
      .gt(0)
      .max(1e6)
      .nullable()
      .default(null)
      .describe('Passes over the training set; give steps or epochs'),
    batch_size: z
      .int()
      .min(1)
      .max(65_536)
      .default(32)
      .describe('Rows of a batch, all parts together; R: 8 to 32'),
    micro_batch: z
      .int()
      .min(0)
      .max(65_536)
      .default(0)
      .describe(
        'Most rows of a micro-batch, those that go through the models together; 0 is no limit; changes nothing but memory and rounding; C',
      ),
    micro_tokens: z
      .int()
      .min(1)
      .max(Number.MAX_SAFE_INTEGER)
      .nullable()
      .default(null)
      .describe(
        'Most tokens of a micro-batch, padding included (rows times its longest row, of an encoder-decoder times its longest prompt and its longest response; a longer row goes alone), besides `micro_batch`; null is no limit; C',
      ),
    packing: z
      .boolean()
      .default(false)
      .describe(
        'Rows of a micro-batch go through the models end to end, as one sequence, and `micro_tokens` counts no padding; for CUDA, with attention: flash_attention_2 (experimental); C',
      ),
    lr: boundedSchedule(0, 1000).describe('Learning rate; number or schedule; R: cosine to 1e-7'),
    optimizer: optimizer.describe('AdamW of the student'),
    clip_norm: z.number().min(0).max(1e6).default(1).describe('Largest gradient norm; 0 is off; R'),
    gradient_checkpointing: z
      .boolean()
      .default(false)
      .describe('Compute activations again in the backward pass: less memory, more time; C'),
    lora,
    order,
  })
  .refine((value) => (value.steps === null) !== (value.epochs === null), {
    error: 'give either `steps` or `epochs`, and leave the other out or null',
    path: ['steps'],
  });

const rollout = z
  .strictObject({
    engine: z
      .enum(ENGINE_CHOICES)
      .default('auto')
      .describe(
        'What draws responses, of evaluation too: native (Llama family, GPT-2, T5), forward (any language model of transformers, slower), native_graphs (native with its steps as CUDA graphs, experimental), or vllm (experimental, a package to install oneself; no mixtures, no n-gram ban); auto takes native where it can, else forward; C',
      ),
    sampling,
    temperature: boundedSchedule(0, 100)
      .nullable()
      .default(null)
      .describe("In place of the sampling's, step by step; null keeps that; number or schedule; C"),
    max_new_tokens: countedSchedule(1_048_576)
      .nullable()
      .default(null)
      .describe("In place of the sampling's, rounded; null keeps that; tokens, number or schedule; C"),
  })
  .prefault({})
  .describe('Generation of training rows');

/** What rollouts are where nothing is said. */
export const DEFAULT_ROLLOUT: DeepReadonly<z.output<typeof rollout>> = rollout.parse({});

const data = z.strictObject({
  train: name.describe('Training set'),
  validation: name.nullable().default(null).describe('Set for evaluation during training and `measure`'),
  test: z.array(name).max(64).default([]).describe('Test sets, evaluated when the stage is done'),
});

const evaluation = z
  .strictObject({
    every: count
      .default(0)
      .describe('Steps between two evaluations on the validation set; 0 is never during training; C'),
    rows: positiveCount.nullable().default(200).describe('Rows of a set during training; null is all; C'),
    initial: z.boolean().default(false).describe('Evaluate everything before the first step as well; C'),
    metrics: z
      .array(z.enum(SCORES))
      .min(1)
      .default(['exact_match'])
      .describe('Scores of generated responses'),
    measure: z
      .array(z.enum(LOSSES))
      .default([])
      .describe(
        "Means of objectives, with their default parameters, over the validation set's own responses (teacher forcing); all but cross_entropy need a teacher",
      ),
    greedy: z.boolean().default(true).describe('Decode greedily, besides the seeds; C'),
    seeds: z.array(seed).max(64).default([10]).describe('Decoding seeds; R: 10, 20, 30, 40, 50'),
    sampling,
    best: z
      .strictObject({
        metric: z.string().describe('A name of `metrics` or `measure`'),
        mode: z
          .enum(['max', 'min'])
          .nullable()
          .default(null)
          .describe('Which end is better; null: more of `metrics`, less of `measure`'),
      })
      .nullable()
      .default(null)
      .describe('Keep the checkpoint that is best on the validation set; null keeps the last; R: rouge_l'),
    samples: count.default(3).describe('Responses of each set kept as text; rows; C'),
  })
  .prefault({})
  .describe('Evaluation of the student');

const checkpoints = z
  .strictObject({
    every: count
      .default(0)
      .describe(
        'Steps between two checkpoints; 0 is one each half hour; there is one at the end in any case; C',
      ),
    keep: z.int().min(1).max(10_000).default(2).describe('Newest checkpoints kept, besides the best; C'),
  })
  .prefault({})
  .describe('Checkpoints');

const diagnostics = z
  .strictObject({ every: count.default(10).describe('Steps between two diagnostics rows; 0 is never; C') })
  .prefault({})
  .describe('Distances, gaps, tightness, entropy and lengths, measured in the same pass');

export const stage = z.strictObject({
  student: modelReference.describe('The model that is trained: a name, {stage: NAME}, or a model'),
  teacher: modelReference.nullable().default(null).describe('The model it learns from; null for none'),
  method: method.describe('How it is trained: a name of configs/methods, a path, or a mapping'),
  data: data.describe('Which datasets'),
  training: training.describe('Length, batches and optimizer'),
  rollout,
  evaluation,
  checkpoints,
  diagnostics,
});

export type TrainingConfig = DeepReadonly<z.output<typeof training>>;
export type RolloutConfig = DeepReadonly<z.output<typeof rollout>>;
export type StageDataConfig = DeepReadonly<z.output<typeof data>>;
export type EvaluationConfig = DeepReadonly<z.output<typeof evaluation>>;
export type CheckpointsConfig = DeepReadonly<z.output<typeof checkpoints>>;
export type StageConfig = DeepReadonly<z.output<typeof stage>>;
