import type { OperationArgs, OperationResult } from '../wire/protocol.gen.js';
import type { CallOptions, WorkerClient } from './client.js';

/** Rows of one request: small enough that a cancel or a progress line waits for a second or so, not minutes. */
export const ROWS_PER_REQUEST = 128;

function shardsOf(rows: readonly number[]): readonly (readonly number[])[] {
  const count = Math.ceil(rows.length / ROWS_PER_REQUEST);
  return Array.from({ length: count }, (_, index) =>
    rows.slice(index * ROWS_PER_REQUEST, (index + 1) * ROWS_PER_REQUEST),
  );
}

/** Per-row lists of several requests, by name, joined in the order of the rows. */
function joinLists<Value>(
  parts: readonly Readonly<Record<string, readonly Value[]>>[],
): Record<string, Value[]> {
  const names = Object.keys(parts[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, parts.flatMap((part) => part[name] ?? [])]));
}

/** For one who waits. */
export interface EvaluationWatch {
  /** Called with the number of rows done so far, whenever a request has been answered. */
  readonly onRows?: (done: number) => void;
  /** Aborting cancels what has not been answered. */
  readonly signal?: AbortSignal | undefined;
}

const callOptions = ({ signal }: EvaluationWatch): CallOptions => (signal === undefined ? {} : { signal });

/** What an evaluation came to; how long each response was is answered too, and no figure needs it. */
export type Evaluated = Omit<OperationResult<'evaluate'>, 'lengths'>;

/**
 * Generates for `rows` and scores the responses, in several requests that are all sent at once. What comes back
 * does not depend on the split: random numbers are keyed by row and position.
 *
 * @throws WireError `cancelled` or `aborted` once the signal has been aborted.
 */
export async function evaluateRows(
  client: WorkerClient,
  args: OperationArgs<'evaluate'>,
  watch: EvaluationWatch = {},
): Promise<Evaluated> {
  let done = 0;
  const results = await Promise.all(
    shardsOf(args.rows).map(async (rows, index) => {
      const texts = Math.max(0, Math.min(rows.length, args.texts - index * ROWS_PER_REQUEST));
      const { result } = await client.call('evaluate', { ...args, rows, texts }, callOptions(watch));
      done += rows.length;
      watch.onRows?.(done);
      return result;
    }),
  );
  return {
    scores: joinLists(results.map((result) => result.scores)),
    statistics: joinLists(results.map((result) => result.statistics)),
    ended: results.reduce((sum, result) => sum + result.ended, 0),
    tokens: results.reduce((sum, result) => sum + result.tokens, 0),
    texts: results.flatMap((result) => result.texts),
  };
}

export type Measured = OperationResult<'measure'>;

/** Teacher-forced figures of `rows`: per metric one mean over response tokens a row. */
export async function measureRows(
  client: WorkerClient,
  args: OperationArgs<'measure'>,
  watch: EvaluationWatch = {},
): Promise<Measured> {
  let done = 0;
  const results = await Promise.all(
    shardsOf(args.rows).map(async (rows) => {
      const { result } = await client.call('measure', { ...args, rows }, callOptions(watch));
      done += rows.length;
      watch.onRows?.(done);
      return result;
    }),
  );
  return {
    values: joinLists(results.map((result) => result.values)),
    tokens: results.flatMap((result) => result.tokens),
  };
}
