import { z } from 'zod';

export const lora = z
  .strictObject({
    rank: z.int().min(1).max(65_536).default(16).describe('r; R'),
    alpha: z.number().min(0).max(1e6).default(64).describe('Scale: updates are multiplied by alpha / r; R'),
    dropout: z
      .number()
      .min(0)
      .max(0.99)
      .default(0.1)
      .describe("On the adapters' inputs, in the student's step alone; a probability; R"),
    targets: z
      .array(z.string().min(1).max(128))
      .max(64)
      .default([])
      .describe('Names of the layers that get an adapter; none: all linear layers but the head; C'),
  })
  .nullable()
  .default(null)
  .describe('Low-rank adapters are trained instead of the weights; `{}` takes the defaults, null is off');
