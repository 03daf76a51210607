import { type Sampling, type Schedule, type SourceConfig, scheduleEnds } from './schema.js';

/** Longest response that is drawn for training; `changing` is `rollout.max_new_tokens`, where that is set. */
export function longestResponse(sampling: Sampling, changing: Schedule | null | undefined): number {
  const longest = changing == null ? sampling.max_new_tokens : Math.max(...scheduleEnds(changing));
  return Math.round(longest);
}

/** Whether a source's tokens are drawn from a mixture with the teacher at any time. */
export const mixes = ({ mixture }: Pick<SourceConfig, 'mixture'>): boolean =>
  scheduleEnds(mixture).some((share) => share > 0);
