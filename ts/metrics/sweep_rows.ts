import { z } from 'zod';

/**
 * What a sweep's folder tells its report: `trials.jsonl`, a row as each trial finishes, and `sweep.json`, what they came
 * to so far. As with the rows of a run: add fields, do not change them. Parameters go by their path in the run
 * configuration, for example `stages.ammd.training.lr.from`.
 */

const count = z.int().nonnegative();
const parameters = z.record(z.string(), z.json()).readonly();

/** One finished trial (`trials.jsonl`), in the order in which they finish. */
export const trialRowSchema = z
  .strictObject({
    kind: z.literal('trial'),
    number: count.describe('In the order in which trials began; 0 is the first.'),
    state: z
      .enum(['complete', 'pruned', 'failed'])
      .describe('pruned: stopped early, since others were better at the same step.'),
    parameters: parameters.describe('What the search chose, as it stands in the run configuration.'),
    value: z
      .number()
      .nullable()
      .describe('The objective on the trained student; null unless the trial is complete.'),
    intermediate: z
      .array(z.strictObject({ step: count, value: z.number() }).readonly())
      .readonly()
      .describe('The objective in evaluations during training: fewer rows, one decoding.'),
    seconds: z
      .number()
      .nonnegative()
      .describe('Wall clock of the judged stage, without stages before it, in the process that finished it.'),
    hash: z
      .string()
      .nullable()
      .describe('Names what was trained; equal trials have one folder. null: nothing.'),
    folder: z.string().nullable().describe("Run folder of the judged stage, relative to the sweep's."),
    reason: z.string().nullable().describe('Why it failed, or at which step it was pruned.'),
  })
  .readonly();

/** What a parameter may be. `values`: any of them; otherwise from `low` to `high`, both included. */
export const domainSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('values'), values: z.array(z.json()).readonly() }).readonly(),
  z
    .strictObject({ kind: z.literal('float'), low: z.number(), high: z.number(), log: z.boolean() })
    .readonly(),
  z
    .strictObject({ kind: z.literal('int'), low: z.int(), high: z.int(), step: z.int(), log: z.boolean() })
    .readonly(),
]);

/** The sweep as a whole (`sweep.json`); written anew as each trial finishes. */
export const sweepSummarySchema = z
  .strictObject({
    kind: z.literal('sweep'),
    format: z.literal(1),
    name: z.string(),
    hash: z.string().describe('Names what is searched: run, space, objective, search; not how many trials.'),
    stage: z.string().describe('The stage of the run whose student is judged, by its name in the run.'),
    objective: z
      .strictObject({
        dataset: z.string(),
        metric: z.string(),
        decoding: z.enum(['greedy', 'sampled', 'teacher_forced']),
        mode: z.enum(['max', 'min']),
        test_set: z
          .boolean()
          .describe('The dataset is no validation set of the stage: figures on it are chosen.'),
      })
      .readonly(),
    space: z.record(z.string(), domainSchema).readonly(),
    search: z.enum(['grid', 'random', 'tpe']),
    pruning: z.enum(['asha']).nullable(),
    trials: z
      .strictObject({ wanted: count, complete: count, pruned: count, failed: count })
      .readonly()
      .describe('How many; the sweep is done when those finished are as many as wanted.'),
    best: z
      .strictObject({
        number: count,
        value: z.number(),
        parameters,
        folder: z.string().describe("Relative to the sweep's folder."),
        config: z.string().describe('The whole run with these parameters, relative to the same.'),
      })
      .readonly()
      .nullable()
      .describe('null while no trial is complete; of equals the first.'),
    importances: z
      .record(z.string(), z.number().min(0).max(1))
      .readonly()
      .nullable()
      .describe(
        'Share of each parameter in being among the best tenth (PED-ANOVA); null with few complete trials.',
      ),
  })
  .readonly();

export type TrialRow = z.infer<typeof trialRowSchema>;
export type Domain = z.infer<typeof domainSchema>;
export type SweepSummary = z.infer<typeof sweepSummarySchema>;

/** Names of the files in a sweep's folder. */
export const SWEEP_FILES = { trials: 'trials.jsonl', summary: 'sweep.json', best: 'best.yaml' } as const;
