import { z } from 'zod';
import { type DeepReadonly, name, seed } from './common.js';

const arch = z.strictObject({
  hidden_size: z.int().min(8).max(65_536).describe('Width H of the residual stream'),
  layers: z
    .int()
    .min(1)
    .max(512)
    .describe('Transformer blocks; of builtin:t5 those of the encoder, and as many of the decoder'),
  heads: z.int().min(1).max(512).describe('Attention heads; divides hidden_size'),
  kv_heads: z
    .int()
    .min(1)
    .max(512)
    .describe('Key/value heads; divides heads, and is the same number in builtin:t5'),
  intermediate_size: z.int().min(8).max(262_144).describe('Width of the feed-forward part'),
  max_positions: z
    .int()
    .min(8)
    .max(1_048_576)
    .default(512)
    .describe('Longest sequence, tokens; builtin:t5, whose positions are relative, has no such limit; C'),
  tie_embeddings: z
    .boolean()
    .default(true)
    .describe("The output head shares the embedding's weight, as it always does in builtin:t5; C"),
});

/** Models made from a shape alone: one of the Llama family, and an encoder-decoder as T5 v1.1 is. */
const BUILTIN: readonly string[] = ['builtin:llama', 'builtin:t5'];

/** Whether a source is the built-in encoder-decoder. */
export const isT5 = (source: string): boolean => source === 'builtin:t5';

const init = z
  .enum(['pretrained', 'random', 'layers'])
  .describe("Weights as shipped, random by seed, or a subset of the source's layers");

const layers = z
  .array(z.int().min(0).max(511))
  .min(1)
  .max(512)
  .refine((indices) => indices.every((index, i) => i === 0 || index > (indices[i - 1] ?? index)), {
    error: 'layer numbers must ascend, each at most once',
  })
  .nullable()
  .default(null)
  .describe('Layers kept, counted from 0, for init: layers; null otherwise');

const layersAgree = (model: { init: string; layers: readonly number[] | null }) =>
  (model.init === 'layers') === (model.layers !== null);
const layersMessage = {
  error: '`layers` and `init: layers` belong together: give both or neither',
  path: ['layers'],
};

export const model = z
  .strictObject({
    source: z
      .string()
      .min(1)
      .max(4096)
      .describe(
        'builtin:llama, builtin:t5, a folder, a hub name (owner/model@revision pins it), gguf:PATH, or package:MODULE/FILE.gguf',
      )
      .refine((source) => !source.startsWith('builtin:') || BUILTIN.includes(source), {
        error: `the builtin models are ${BUILTIN.join(' and ')}`,
      }),
    init: init.default('pretrained'),
    layers,
    arch: arch.nullable().default(null).describe('Shape of a builtin model; null for others'),
    seed: seed
      .nullable()
      .default(null)
      .describe("Seed of random weights; null derives it from the run's seed and the model's name; C"),
    dtype: z
      .enum(['float32', 'bfloat16', 'float16'])
      .default('float32')
      .describe('Dtype of the weights; float32 where the model is trained; C'),
    compute_dtype: z
      .enum(['float32', 'bfloat16', 'float16'])
      .nullable()
      .default(null)
      .describe("Dtype of matrix products (autocast) where it differs from the weights'; null: the same; C"),
    attention: z
      .enum(['eager', 'sdpa', 'flash_attention_2'])
      .nullable()
      .default(null)
      .describe("Attention implementation; null is the library's choice; C"),
    trust_remote_code: z.boolean().default(false).describe('Run code shipped with the model; C'),
  })
  .refine(layersAgree, layersMessage)
  .refine((value) => !value.source.startsWith('builtin:') || value.arch !== null, {
    error: 'a builtin model needs `arch`',
    path: ['arch'],
  })
  .refine((value) => !value.source.startsWith('builtin:') || value.init === 'random', {
    error: 'a builtin model has no pretrained weights: use `init: random`',
    path: ['init'],
  })
  .refine((value) => value.arch === null || value.arch.hidden_size % value.arch.heads === 0, {
    error: 'hidden_size must be a multiple of heads',
    path: ['arch', 'hidden_size'],
  })
  .refine((value) => value.arch === null || value.arch.heads % value.arch.kv_heads === 0, {
    error: 'heads must be a multiple of kv_heads',
    path: ['arch', 'heads'],
  })
  .refine(({ source, arch: shape }) => !isT5(source) || shape === null || shape.kv_heads === shape.heads, {
    error: 'kv_heads must be heads in builtin:t5',
    path: ['arch', 'kv_heads'],
  })
  .refine(({ source, arch: shape }) => !isT5(source) || shape === null || shape.tie_embeddings, {
    error: 'the head of builtin:t5 always shares the weight of its embedding',
    path: ['arch', 'tie_embeddings'],
  });

/** The exported model of an earlier stage, whole or a subset of its layers. */
export const stageReference = z
  .strictObject({
    stage: name.describe('An earlier stage'),
    init: z.enum(['pretrained', 'layers']).default('pretrained').describe('The whole model, or some layers'),
    layers,
  })
  .refine(layersAgree, layersMessage);

export const modelReference = z.union([name, stageReference, model]);

export type ModelConfig = DeepReadonly<z.output<typeof model>>;
export type StageReference = DeepReadonly<z.output<typeof stageReference>>;
export type ModelReference = DeepReadonly<z.output<typeof modelReference>>;

/** Whether a model is the student of an earlier stage. */
export const isStageReference = (reference: ModelReference | null): reference is StageReference =>
  typeof reference === 'object' && reference !== null && 'stage' in reference;
