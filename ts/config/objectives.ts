/** What an objective of the worker needs. The mathematics is in the worker; this is what a config may say. */
export interface ObjectiveFacts {
  readonly teacher: boolean;
  readonly critic: boolean;
  /** The loss is about the token that follows, not about the state: no cost that a policy gradient could hand back. */
  readonly target: boolean;
  /** It has an estimate at the token drawn, whose mean over the student's tokens is the loss of the state. */
  readonly sampled: boolean;
  /** Parameters with their values when not given. */
  readonly params: Readonly<Record<string, number>>;
}

const NONE: ObjectiveFacts = { teacher: false, critic: false, target: false, sampled: false, params: {} };

const divergence = (params: ObjectiveFacts['params'] = {}): ObjectiveFacts => ({
  ...NONE,
  teacher: true,
  params: { ...params, temperature: 1 },
});

const MOMENT: ObjectiveFacts = { ...NONE, teacher: true, sampled: true };

/** Held against the worker's registry by a test over protocol/fixtures/objectives.json. */
export const OBJECTIVES: Readonly<Record<string, ObjectiveFacts>> = {
  cross_entropy: { ...NONE, target: true },
  forward_kl: divergence(),
  reverse_kl: { ...divergence(), sampled: true },
  jsd: divergence({ beta: 0.5 }),
  tvd: divergence(),
  skew_forward_kl: divergence({ alpha: 0.1 }),
  skew_reverse_kl: divergence({ alpha: 0.1 }),
  alpha_beta: divergence({ alpha: 0.5, beta: 0.5 }),
  moment: { ...MOMENT, critic: true },
  exact_moment_tanh: { ...MOMENT, params: { bound_value: 1 } },
  exact_moment_mixture: MOMENT,
};
