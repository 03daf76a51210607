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
  /** Least and greatest value of parameters that have them, both included. */
  readonly ranges: Readonly<Record<string, readonly [low: number, high: number]>>;
}

const NONE: ObjectiveFacts = {
  teacher: false,
  critic: false,
  target: false,
  sampled: false,
  params: {},
  ranges: {},
};

const divergence = (
  params: ObjectiveFacts['params'] = {},
  ranges: ObjectiveFacts['ranges'] = {},
): ObjectiveFacts => ({
  ...NONE,
  teacher: true,
  params: { ...params, temperature: 1 },
  ranges: { ...ranges, temperature: [0.01, 100] },
});

const skew = divergence({ alpha: 0.1 }, { alpha: [0, 1] });

const MOMENT: ObjectiveFacts = { ...NONE, teacher: true, sampled: true };

/** Held against the worker's registry by a test over protocol/fixtures/objectives.json. */
export const OBJECTIVES: Readonly<Record<string, ObjectiveFacts>> = {
  cross_entropy: { ...NONE, target: true },
  forward_kl: divergence(),
  reverse_kl: { ...divergence(), sampled: true },
  jsd: divergence({ beta: 0.5 }, { beta: [0, 1] }),
  tvd: divergence(),
  skew_forward_kl: skew,
  skew_reverse_kl: skew,
  alpha_beta: divergence({ alpha: 0.5, beta: 0.5 }),
  moment: { ...MOMENT, critic: true },
  exact_moment_tanh: { ...MOMENT, params: { bound_value: 1 }, ranges: { bound_value: [0.001, 1000] } },
  exact_moment_mixture: MOMENT,
};
