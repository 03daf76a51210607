import { z } from 'zod';

/**
 * The rows of a run folder's JSONL files. They are the only way from a run to its report, so their names
 * and meanings outlive every run: add fields, do not change them. Schemas are strict: a row with an
 * unknown key was written by other code than reads it, and that must not pass in silence.
 */

const count = z.int().nonnegative();
const seconds = z.number().nonnegative();

/** Where the wall-clock time of one step went, in seconds; `wire` and `idle` are not worker computation. */
const stepSecondsSchema = z
  .strictObject({
    generate: seconds.describe('Drawing rollouts; of those in the background, waiting for them.'),
    build: seconds.describe('Collating and padding.'),
    teacher: seconds.describe("The teacher's forward pass."),
    prepass: seconds.describe("The student's forward pass without graph, for critics."),
    critic: seconds.describe('All critic turns.'),
    student: seconds.describe("The student's forward, backward and optimizer."),
    end: seconds.describe('Copying metrics and freeing handles.'),
    wire: seconds.describe('Encoding, transport and decoding.'),
    idle: seconds.describe("The worker's operation thread waited for a request."),
    total: seconds.describe('Wall clock from the step before.'),
  })
  .readonly();

/** One optimizer step of a stage (`metrics.jsonl`). */
export const stepRowSchema = z
  .strictObject({
    kind: z.literal('step'),
    stage: z.string().min(1),
    step: z.int().positive().describe('1-based: the number of optimizer steps done, this one included.'),
    metrics: z
      .record(z.string(), z.number().nullable())
      .readonly()
      .describe('null is not finite or undefined.'),
    lr: z.number(),
    critic_lr: z.number().nullable(),
    tokens: z
      .strictObject({
        batch: count.describe('Prompts and responses, without padding.'),
        response: count.describe('Response tokens of all parts.'),
        generated: count.describe('Tokens of generated responses, drawn in this step or kept from before.'),
      })
      .readonly(),
    drawn_tokens: count
      .optional()
      .describe(
        'Generated tokens without those of kept responses; absent where there were none. Not the same in a resumed run, which finds what it had drawn.',
      ),
    seconds: stepSecondsSchema,
    policy_version: count,
    wire_bytes: count.describe('Both directions.'),
  })
  .readonly();

/** One metric of one dataset under one way of decoding (`evaluations.jsonl`). */
export const evaluationRowSchema = z
  .strictObject({
    kind: z.literal('evaluation'),
    stage: z.string().min(1),
    step: count.describe('Optimizer steps done; 0 is before the first.'),
    final: z.boolean().describe('Of the exported model; the others are taken during training.'),
    dataset: z.string().min(1),
    metric: z.string().min(1),
    decoding: z.enum(['greedy', 'sampled', 'teacher_forced']),
    seed: z.int().nullable().describe('Decoding seed; null where nothing is drawn.'),
    mean: z.number().describe('Figure of all rows; where there are `scores`, their mean.'),
    rows: count,
    ended: z.number().min(0).max(1).nullable().describe('Fraction of responses that ended with EOS.'),
    mean_length: z.number().nonnegative().nullable().describe('Response tokens.'),
    tokens: count.describe('Response tokens, all rows.'),
    scores: z
      .array(z.number())
      .readonly()
      .optional()
      .describe('Per row, in dataset order; not of evaluations during training.'),
    statistics: z
      .array(z.array(z.number()).readonly())
      .readonly()
      .optional()
      .describe('Beside `scores` of metrics that are no mean over rows, per row: their sums decide `mean`.'),
  })
  .readonly();

/** One generated text (`samples.jsonl`). */
export const sampleRowSchema = z
  .strictObject({
    kind: z.literal('sample'),
    stage: z.string().min(1),
    step: count,
    dataset: z.string().min(1),
    row: count,
    prompt: z.string(),
    text: z.string(),
    references: z.array(z.string()).readonly(),
  })
  .readonly();

export type StepRow = z.infer<typeof stepRowSchema>;
export type StepSeconds = StepRow['seconds'];
export type EvaluationRow = z.infer<typeof evaluationRowSchema>;
export type DecodingKind = EvaluationRow['decoding'];
export type SampleRow = z.infer<typeof sampleRowSchema>;

/** JSON has no NaN or infinity: what is not finite becomes null, and keeps its key. */
export function finiteOrNull(
  metrics: ReadonlyMap<string, number> | Readonly<Record<string, number>>,
): Record<string, number | null> {
  const entries = metrics instanceof Map ? [...metrics] : Object.entries(metrics);
  return Object.fromEntries(entries.map(([name, value]) => [name, Number.isFinite(value) ? value : null]));
}
