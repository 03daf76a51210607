/** Scores of generated responses: more is better. */
export const SCORES = ['accuracy', 'bleu', 'exact_match', 'rouge_l'] as const;

/** Losses on a dataset's own responses: less is better. */
export const LOSSES = ['cross_entropy', 'forward_kl', 'reverse_kl', 'tvd'] as const;

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
