import type { Findings } from './findings.js';
import { constantValue, type StageConfig } from './schema.js';

/** What the engine that a stage names cannot do; that it cannot serve a model is the worker's to say. */
export function checkEngine({ rollout, evaluation, method }: StageConfig, stage: string, findings: Findings) {
  if (rollout.engine !== 'vllm') return;
  const remedy = 'or rollout.engine: auto';
  for (const [name, { mixture }] of Object.entries(method.sources)) {
    if (constantValue(mixture) === 0) continue;
    findings.error(
      ['stages', stage, 'method', 'sources', name, 'mixture'],
      `vllm draws from one model at a time; give 0, ${remedy}`,
    );
  }
  for (const [key, { sampling }] of Object.entries({ rollout, evaluation })) {
    if (sampling.no_repeat_ngram_size === 0) continue;
    findings.error(
      ['stages', stage, key, 'sampling', 'no_repeat_ngram_size'],
      `vllm has no n-gram ban; give 0, ${remedy}`,
    );
  }
}
