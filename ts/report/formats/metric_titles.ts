/** How a metric is called in headings; others by their name with spaces. */
const METRIC_TITLES: Readonly<Record<string, string>> = {
  accuracy: 'Accuracy',
  bleu: 'BLEU',
  exact_match: 'Exact match',
  rouge_l: 'ROUGE-L',
  cross_entropy: 'cross-entropy',
  forward_kl: 'KL(teacher‖student)',
  reverse_kl: 'KL(student‖teacher)',
  jsd: 'JSD',
  tvd: 'total variation',
};

export function metricTitle(metric: string): string {
  return METRIC_TITLES[metric] ?? metric.replaceAll('_', ' ');
}
