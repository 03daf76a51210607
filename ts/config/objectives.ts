/** What an objective of the worker needs. The mathematics is in the worker; this is what a config may say. */
export interface ObjectiveFacts {
  readonly teacher: boolean;
  readonly critic: boolean;
  /** The loss is about the token that follows, not about the state: no cost that a policy gradient could hand back. */
  readonly target: boolean;
  /** It has an estimate at the token drawn, whose mean over the student's tokens is the loss of the state. */
  readonly sampled: boolean;
  readonly params: readonly string[];
}

const divergence = (...params: readonly string[]): ObjectiveFacts => ({
  teacher: true,
  critic: false,
  target: false,
  sampled: false,
  params: ['temperature', ...params],
});

/** The gap of the best critic of a class, which needs none that learns. */
const exactMoment = (...params: readonly string[]): ObjectiveFacts => ({
  ...divergence(),
  sampled: true,
  params,
});

export const OBJECTIVES: Readonly<Record<string, ObjectiveFacts>> = {
  cross_entropy: { teacher: false, critic: false, target: true, sampled: false, params: [] },
  forward_kl: divergence(),
  reverse_kl: { ...divergence(), sampled: true },
  jsd: divergence('beta'),
  tvd: divergence(),
  skew_forward_kl: divergence('alpha'),
  skew_reverse_kl: divergence('alpha'),
  alpha_beta: divergence('alpha', 'beta'),
  moment: { ...divergence(), critic: true, sampled: true, params: [] },
  exact_moment_tanh: exactMoment('bound_value'),
  exact_moment_mixture: exactMoment(),
};
