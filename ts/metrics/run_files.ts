/** Names in the folder of a run that both its writer and the report on it go by. */
export const RUN_FILES = {
  config: 'config.yaml',
  configHash: 'config.sha256',
  manifest: 'manifest.json',
  /** Folder with one of each stage. */
  stages: 'stages',
  report: 'report.html',
  results: 'results.json',
  table: 'results.md',
} as const;

/** The same of the folder of a stage. */
export const STAGE_FILES = {
  metrics: 'metrics.jsonl',
  evaluations: 'evaluations.jsonl',
  samples: 'samples.jsonl',
  done: 'done.json',
} as const;
