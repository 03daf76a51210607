import { z } from 'zod';
import { type DeepReadonly, name } from './common.js';
import { boundedSchedule, constant } from './schedule.js';

const replay = z
  .strictObject({
    capacity: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(1000)
      .describe('Rows kept; whole rollouts leave, the oldest first; R: 1,000'),
    fresh: boundedSchedule(0, 1)
      .default(constant(1))
      .describe(
        'Share of `probability` that draws new responses even when the buffer is full; R: linear from 1 to 0',
      ),
  })
  .nullable()
  .default(null)
  .describe('Keep responses and learn from them again; null is off, {} takes the defaults; for the student');

export const source = z.strictObject({
  from: z
    .enum(['dataset', 'student', 'teacher'])
    .describe(
      "Responses of the dataset, or drawn from the student or the teacher on the dataset's prompts; P",
    ),
  share: z
    .number()
    .gt(0)
    .max(1)
    .describe('Share of the rows of each batch, at least one row; the shares sum to 1'),
  data: name
    .nullable()
    .default(null)
    .describe("Dataset of this part; null takes the stage's training set; C"),
  probability: boundedSchedule(0, 1)
    .default(constant(1))
    .describe(
      "Chance that a batch's rows come from the model; otherwise they are the dataset's own responses to the same prompts; R: GKD's λ, DistiLLM's φ",
    ),
  mixture: boundedSchedule(0, 1)
    .default(constant(0))
    .describe("m: the student draws each token from m·π* + (1-m)·π_θ; 0 is itself alone; R: MiniLLM's 0.2"),
  replay,
  max_staleness: z
    .int()
    .min(0)
    .max(1_000_000_000)
    .nullable()
    .default(null)
    .describe(
      "Most student steps between the policy that drew a response and the one that learns from it; null is no limit. At 1, with neither `replay` nor a longer `iteration`, each step's responses are drawn one step ahead, while the student trains; at 0 and null when they are needed. For the student's; C",
    ),
  cache: z
    .boolean()
    .nullable()
    .default(null)
    .describe(
      "Keep the teacher's responses on disk, one a prompt, and never draw them again; null is true for the teacher; C",
    ),
  // Absent, not null: a configuration without it has the hash it had before this key was there.
  responses_seed: z
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER)
    .nullable()
    .optional()
    .describe(
      "Seed of the teacher's kept responses, for one set of responses under several training seeds; absent or null takes the run's; C",
    ),
});

export type SourceConfig = DeepReadonly<z.output<typeof source>>;
