import { z } from 'zod';

/** Recursively read-only view of a parsed value. */
export type DeepReadonly<T> = T extends (infer U)[]
  ? readonly DeepReadonly<U>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/**
 * Names of stages, datasets, models, parts, terms and critics. They begin with a letter: an object key that
 * looks like a number would lose its place in the order. 32 characters is the wire's limit for parts.
 */
export const name = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9_-]{0,31}$/,
    'a name of at most 32 letters, digits, _ and -, beginning with a letter',
  );

export const seed = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
export const count = z.int().min(0).max(1_000_000_000);
export const positiveCount = z.int().min(1).max(1_000_000_000);

export const optimizer = z
  .strictObject({
    beta1: z.number().min(0).lt(1).default(0.9).describe('Decay of the first moment; C (PyTorch)'),
    beta2: z.number().min(0).lt(1).default(0.999).describe('Decay of the second moment; C (PyTorch)'),
    eps: z.number().gt(0).max(1).default(1e-8).describe('Added to the denominator; C (PyTorch)'),
    weight_decay: z
      .number()
      .min(0)
      .max(10)
      .default(0.01)
      .describe('Decoupled weight decay, not applied to norms and biases; R'),
    optimistic: z
      .boolean()
      .default(false)
      .describe('Optimistic Adam: each update is twice the present one minus the one before; C'),
  })
  .prefault({})
  .describe('AdamW');

export const sampling = z
  .strictObject({
    temperature: z.number().min(0).max(100).default(1).describe('Divides the logits; 0 is greedy; R'),
    top_p: z.number().gt(0).max(1).default(1).describe('Nucleus, a probability; 1 is off; R'),
    top_k: z.int().min(0).max(1_048_576).default(0).describe('Most likely tokens kept; 0 is off; R'),
    max_new_tokens: z
      .int()
      .min(1)
      .max(1_048_576)
      .default(256)
      .describe('Longest response, EOS included; tokens; R'),
    no_repeat_ngram_size: z
      .int()
      .min(0)
      .max(64)
      .default(0)
      .describe(
        'No n-gram of this size occurs twice in prompt and response, of an encoder-decoder in the response; tokens, 0 is off; R: 6 in the final evaluation',
      ),
    suppress_eos: z.boolean().default(false).describe('Never end before the limit, for measurements; C'),
  })
  .prefault({})
  .describe('How tokens are drawn');

export type Optimizer = DeepReadonly<z.output<typeof optimizer>>;
export type Sampling = DeepReadonly<z.output<typeof sampling>>;
