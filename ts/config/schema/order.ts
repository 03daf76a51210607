import { z } from 'zod';
import { longForm } from '../shorthand.js';
import { type DeepReadonly, positiveCount } from './common.js';

export const order = z
  .preprocess(
    (value) => longForm(value, 'order') ?? value,
    z.strictObject({
      by: z
        .enum(['shuffle', 'length', 'teacher_loss', 'gap'])
        .default('shuffle')
        .describe(
          "At random; or from the smallest: response tokens, the teacher's cross-entropy of the response, or the student's at the start minus the teacher's; C",
        ),
      descending: z.boolean().default(false).describe('From the largest; C'),
      epochs: positiveCount
        .nullable()
        .default(1)
        .describe('Epochs in that order, later ones are shuffled; null is all; C'),
    }),
  )
  .prefault({})
  .describe('How rows are ordered; a name alone is short for `{by: NAME}`');

export type OrderConfig = DeepReadonly<z.output<typeof order>>;
