import { z } from 'zod';
import { type DeepReadonly, name } from './common.js';
import { boundedNumber, boundedSchedule, constant } from './schedule.js';

const returns = z
  .strictObject({
    costs: z
      .enum(['exact', 'sampled'])
      .default('exact')
      .describe(
        'Costs of later positions: the loss of the state, or its estimate at the token drawn; reinforce always samples; D',
      ),
    norm: z
      .enum(['none', 'length'])
      .default('length')
      .describe(
        'length: a return is the mean over the positions from t on, the loss of the state at t included, so that ending early does not pay; C',
      ),
    baseline: z
      .enum(['none', 'leave_one_out', 'whiten'])
      .default('leave_one_out')
      .describe(
        "leave_one_out: minus the mean of the step's other sequences at the same position; whiten: mean 0, deviation 1; D; R: MiniLLM whitens",
      ),
    importance: z
      .enum(['none', 'token', 'sequence'])
      .default('none')
      .describe(
        'Weights for responses that another distribution drew: the ratio of each token, or of the whole response; D',
      ),
    ratio_limit: z
      .number()
      .min(0)
      .max(1e6)
      .default(0)
      .describe('Largest importance weight; 0 is no limit; C'),
    clip: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe("PPO's clip of a token's ratio to 1 - clip .. 1 + clip; 0 is off; R: MiniLLM's 0.2"),
  })
  .prefault({})
  .describe('Where `gradient` is not token: how later costs reach earlier tokens');

/** What returns are where nothing is said. */
export const DEFAULT_RETURNS: DeepReadonly<z.output<typeof returns>> = returns.parse({});

export const term = z.strictObject({
  objective: z.string().min(1).max(64).describe('Name of an objective: cross_entropy, forward_kl, moment, …'),
  part: name.describe('A part of the batch, or all'),
  critic: name.nullable().default(null).describe('Critic whose values the objective takes'),
  weight: boundedSchedule(-1e6, 1e6)
    .default(constant(1))
    .describe("Factor of the term's mean; number or schedule; C"),
  scale: z
    .enum(['none', 'on_policy_weight', 'off_policy_weight'])
    .default('none')
    .describe('Further factor: on_policy_weight w, or off_policy_weight = 1 - w; P'),
  params: z
    .record(name, boundedNumber(-1e6, 1e6))
    .default({})
    .describe('Parameters of the objective, for example beta, alpha, temperature; number or schedule'),
  gamma: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('Discount: the loss at response position t, from 0, counts gamma^t; P: the factor, C: 1'),
  discount: z
    .enum(['exact', 'dropped'])
    .default('exact')
    .describe('dropped leaves gamma^t out and keeps gamma in the returns alone; D: exact'),
  gradient: z
    .enum(['token', 'return', 'reinforce'])
    .default('token')
    .describe(
      'token: at the states as they are; return: also through the distribution of states; reinforce: by sampled returns alone; P: policy gradient, D: the forms, C: token',
    ),
  returns,
});

export type TermConfig = DeepReadonly<z.output<typeof term>>;
