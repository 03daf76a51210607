import type { IterationConfig, SourceConfig } from './schema.js';

/**
 * Whether each step's responses are drawn in the step before it, while the student trains: one step old, always. With
 * replay, or an iteration of several steps, `max_staleness` bounds an age that comes about anyway.
 */
export function isDrawnAhead(
  { from, replay, max_staleness }: SourceConfig,
  { minibatches, epochs }: IterationConfig,
): boolean {
  const plain = from === 'student' && replay === null && minibatches * epochs === 1;
  return plain && max_staleness !== null && max_staleness >= 1;
}
