import { LOSSES, SCORES } from './registries.gen.js';

// The worker's metrics: scores of generated responses, of which more is better, and losses on a dataset's own
// responses, of which less is.
export { LOSSES, SCORES };

/** Which end of a metric is better: what is said of it, or else what the metric is. */
export function betterEnd({
  metric,
  mode,
}: {
  readonly metric: string;
  readonly mode: 'max' | 'min' | null;
}): 'max' | 'min' {
  const losses: readonly string[] = LOSSES;
  return mode ?? (losses.includes(metric) ? 'min' : 'max');
}
