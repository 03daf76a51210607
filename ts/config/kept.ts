import type { SourceConfig } from './schema.js';

/** Whether a source's responses are the teacher's, each drawn once and kept on disk. */
export function keepsResponses({ from, cache }: Pick<SourceConfig, 'from' | 'cache'>): boolean {
  return from === 'teacher' && cache !== false;
}
