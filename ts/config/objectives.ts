/** What an objective of the worker needs. The mathematics is in the worker; this is what a config may say. */
export interface ObjectiveFacts {
  readonly teacher: boolean;
  readonly critic: boolean;
  readonly params: readonly string[];
}

const divergence = (...params: readonly string[]): ObjectiveFacts => ({
  teacher: true,
  critic: false,
  params: ['temperature', ...params],
});

export const OBJECTIVES: Readonly<Record<string, ObjectiveFacts>> = {
  cross_entropy: { teacher: false, critic: false, params: [] },
  forward_kl: divergence(),
  reverse_kl: divergence(),
  jsd: divergence('beta'),
  tvd: divergence(),
  skew_forward_kl: divergence('alpha'),
  skew_reverse_kl: divergence('alpha'),
  moment: { teacher: true, critic: true, params: ['gamma'] },
};
