import { type Sampling, type Schedule, scheduleEnds } from './schema.js';

/** Longest response that is drawn for training; `changing` is `rollout.max_new_tokens`, where that is set. */
export function longestResponse(sampling: Sampling, changing: Schedule | null | undefined): number {
  const longest = changing == null ? sampling.max_new_tokens : Math.max(...scheduleEnds(changing));
  return Math.round(longest);
}
