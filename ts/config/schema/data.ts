import { z } from 'zod';
import { type DeepReadonly, positiveCount, seed } from './common.js';

/** What a row's columns are: a question in two parts and its answer, or a conversation. */
export const FIELDS = ['instruction', 'input', 'output', 'messages', 'group'] as const;

export const dataset = z.strictObject({
  source: z
    .string()
    .min(1)
    .max(4096)
    .describe('builtin:microtasks, a JSONL or parquet file, or a hub dataset name (@revision pins it)'),
  split: z
    .string()
    .min(1)
    .max(128)
    .default('train')
    .describe('Split of the source: train, validation, or the name of a test set; C'),
  limit: positiveCount
    .nullable()
    .default(null)
    .describe('Rows used, from the first, before long prompts are dropped; rows, null is all; C'),
  template: z
    .enum(['alpaca', 'chat', 'plain', 'text'])
    .default('alpaca')
    .describe('Prompt template; text: the instruction as it is, for plain text; R: alpaca'),
  template_options: z
    .record(z.string().min(1).max(64), z.union([z.boolean(), z.number(), z.string().max(1024)]))
    .exactOptional()
    .describe('Variables of the chat template besides the messages, as {enable_thinking: false}; C'),
  max_prompt_tokens: z
    .int()
    .min(1)
    .max(1_048_576)
    .default(256)
    .describe('Prompts are cut to this length; tokens; R'),
  long_prompts: z
    .enum(['cut', 'drop'])
    .default('cut')
    .describe(
      'Longer prompts lose their end (cut; R: DistiLLM), or their rows are left out (drop; R: MiniLLM’s training rows)',
    ),
  max_tokens: z
    .int()
    .min(2)
    .max(1_048_576)
    .default(512)
    .describe('Prompt and response together are cut to this length; tokens; R'),
  fields: z
    .partialRecord(z.enum(FIELDS), z.string().min(1).max(128))
    .refine(({ messages, instruction, input, output }) => !(messages && (instruction ?? input ?? output)), {
      error:
        'messages stands for instruction, input and output; give one of them (of a base, NAME: null takes it away)',
    })
    .default({})
    .describe(
      'Names of the columns where they differ from instruction, input, output, or from messages; and of group, the task that figures are shown by; C',
    ),
  validation_fraction: z
    .number()
    .min(0)
    .max(0.9)
    .default(0)
    .describe(
      'Share of rows that the split by seed sends to the split named validation; of the split NAME of a hub dataset, NAME/train and NAME/validation are the two parts; C',
    ),
  seed: seed.default(0).describe('Seed of that split and of generated data; C'),
  skip_bad_lines: z.boolean().default(false).describe('Count bad lines instead of failing at the first; C'),
});

export type DatasetConfig = DeepReadonly<z.output<typeof dataset>>;
