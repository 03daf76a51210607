import type { OperationArgs, OperationResult } from '../wire/protocol.gen.js';
import type { WorkerClient } from './client.js';

/** Rows of one request: small enough that a cancel or a progress line waits for a second or so, not minutes. */
const ROWS_PER_REQUEST = 128;

function shardsOf(rows: readonly number[]): readonly (readonly number[])[] {
  const count = Math.ceil(rows.length / ROWS_PER_REQUEST);
  return Array.from({ length: count }, (_, index) =>
    rows.slice(index * ROWS_PER_REQUEST, (index + 1) * ROWS_PER_REQUEST),
  );
}

/** Per-row lists of several requests, by name, joined in the order of the rows. */
function joinLists(parts: readonly Readonly<Record<string, readonly number[]>>[]): Record<string, number[]> {
  const names = Object.keys(parts[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, parts.flatMap((part) => part[name] ?? [])]));
}

export type EvaluateArgs = Omit<OperationArgs<'evaluate'>, 'rows'> & { readonly rows: readonly number[] };
export type Evaluated = OperationResult<'evaluate'>;

/**
 * Generates for `rows` and scores the responses, in several requests that are all sent at once. What comes back
 * does not depend on the split: random numbers are keyed by row and position.
 *
 * @param onRows called with the number of rows done so far, whenever a request has been answered.
 */
export async function evaluateRows(
  client: WorkerClient,
  args: EvaluateArgs,
  onRows: (done: number) => void = () => {},
): Promise<Evaluated> {
  let done = 0;
  const results = await Promise.all(
    shardsOf(args.rows).map(async (rows, index) => {
      const texts = Math.max(0, Math.min(rows.length, args.texts - index * ROWS_PER_REQUEST));
      const { result } = await client.call('evaluate', { ...args, rows: [...rows], texts });
      done += rows.length;
      onRows(done);
      return result;
    }),
  );
  return {
    scores: joinLists(results.map((result) => result.scores)),
    lengths: results.flatMap((result) => result.lengths),
    ended: results.reduce((sum, result) => sum + result.ended, 0),
    tokens: results.reduce((sum, result) => sum + result.tokens, 0),
    texts: results.flatMap((result) => result.texts),
  };
}

export type MeasureArgs = Omit<OperationArgs<'measure'>, 'rows'> & { readonly rows: readonly number[] };
export type Measured = OperationResult<'measure'>;

/** Teacher-forced figures of `rows`: per metric one mean over response tokens a row. */
export async function measureRows(client: WorkerClient, args: MeasureArgs): Promise<Measured> {
  const results = await Promise.all(
    shardsOf(args.rows).map(
      async (rows) => (await client.call('measure', { ...args, rows: [...rows] })).result,
    ),
  );
  return {
    values: joinLists(results.map((result) => result.values)),
    tokens: results.flatMap((result) => result.tokens),
  };
}
