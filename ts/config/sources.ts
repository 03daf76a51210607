import { type IterationConfig, type SourceConfig, scheduleEnds } from './schema.js';

/** Whether a source's responses are the teacher's, each drawn once and kept on disk. */
export function keepsResponses({ from, cache }: Pick<SourceConfig, 'from' | 'cache'>): boolean {
  return from === 'teacher' && cache !== false;
}

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

/** Whether a source's tokens are drawn from a mixture with the teacher at any time. */
export const mixes = ({ mixture }: Pick<SourceConfig, 'mixture'>): boolean =>
  scheduleEnds(mixture).some((share) => share > 0);

/**
 * Rows of each part in a batch: the shares times the batch size, rounded by largest remainder so that they
 * sum to it. Ties go to the part named first. A part that would have none gets one of the largest part's, while that
 * has more than one: its terms and its critic would have nothing to see.
 */
export function partRows(
  sources: Readonly<Record<string, { readonly share: number }>>,
  batchSize: number,
): ReadonlyMap<string, number> {
  // A product such as 2.9999999999999996 is 3 whole rows with nothing left over.
  const exact = Object.entries(sources).map(([part, { share }]) => {
    const whole = Math.floor(share * batchSize + 1e-9);
    return { part, whole, left: share * batchSize - whole };
  });
  const rows = new Map(exact.map(({ part, whole }) => [part, whole]));
  const missing = batchSize - [...rows.values()].reduce((sum, count) => sum + count, 0);
  const byRemainder = exact.toSorted((a, b) => b.left - a.left);
  for (const { part } of byRemainder.slice(0, Math.max(missing, 0)))
    rows.set(part, (rows.get(part) ?? 0) + 1);
  for (const part of [...rows.keys()].filter((name) => rows.get(name) === 0)) {
    const [largest, most] = [...rows].reduce((a, b) => (b[1] > a[1] ? b : a));
    if (most < 2) break;
    rows.set(largest, most - 1).set(part, 1);
  }
  return rows;
}
