import { ENGINES } from '../engines.js';
import type { Findings } from '../findings.js';
import { constantValue, type StageConfig, type WorkerConfig } from '../schema.js';
import { isDrawnAhead } from '../sources.js';

/** What the engine that a stage names cannot do; that it cannot serve a model is the worker's to say. */
export function checkEngine(
  { rollout, evaluation, method }: StageConfig,
  stage: string,
  worker: Pick<WorkerConfig, 'rollout_rows'>,
  findings: Findings,
) {
  if (rollout.engine !== 'auto' && !ENGINES[rollout.engine].concurrent) {
    for (const [name, source] of Object.entries(method.sources)) {
      if (!isDrawnAhead(source, method.iteration)) continue;
      findings.warn(
        ['stages', stage, 'method', 'sources', name, 'max_staleness'],
        `${rollout.engine} does not draw while the student trains: responses are a step old and no time is won; rollout.engine: native does`,
      );
    }
  }
  if (rollout.engine !== 'vllm') return;
  if (worker.rollout_rows > 0) {
    findings.warn(
      ['worker', 'rollout_rows'],
      `no effect on stage ${stage}: vllm schedules its rows by itself`,
    );
  }
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
