import { present } from '../common/present.js';
import { permutation } from '../common/random.js';

/** Rows of a dataset in the order drawn, with an id for each that no other draw of the stage shares. */
export interface DrawnRows {
  readonly rows: readonly number[];
  /** epoch · n + row, below 2^53. */
  readonly sampleIds: readonly number[];
}

/** An order that holds for some epochs, before they are shuffled. */
export interface FixedOrder {
  /** Every row number once. */
  readonly rows: readonly number[];
  /** From the first epoch on; null is all. */
  readonly epochs: number | null;
}

/** Orders kept: two datasets with the end of one epoch and the start of the next, twice over. */
const REMEMBERED = 8;

/** All that this folder remembers. It saves time and decides nothing: an order follows from its key. */
const recent = new Map<string, Uint32Array>();

/** The order of an epoch. Remembered, because every batch of the epoch asks for it and a shuffle is O(n). */
function epochOrder(n: number, seed: number, epoch: number): Uint32Array {
  const key = `${n}/${seed}/${epoch}`;
  const order = recent.get(key) ?? permutation(n, seed, epoch);
  recent.delete(key);
  recent.set(key, order);
  for (const oldest of recent.keys()) {
    if (recent.size <= REMEMBERED) break;
    recent.delete(oldest);
  }
  return order;
}

/**
 * Draws `count` rows from position `start` of an endless sequence in which every row comes once an epoch, in
 * a new order each epoch, or at first in a fixed one. There is no cursor to save: the position is computed from the
 * step.
 *
 * @param n - rows of the dataset, at least 1
 * @param fixed - the order of the first epochs; without it they are shuffled like all others
 * @throws RangeError where a fixed order has fewer rows than the dataset
 */
export function drawRows(
  n: number,
  seed: number,
  start: number,
  count: number,
  fixed?: FixedOrder,
): DrawnRows {
  const rows: number[] = [];
  const sampleIds: number[] = [];
  for (let position = start; position < start + count; position += 1) {
    const epoch = Math.floor(position / n);
    const holds = fixed !== undefined && epoch < (fixed.epochs ?? Number.POSITIVE_INFINITY);
    const order = holds ? fixed.rows : epochOrder(n, seed, epoch);
    const row = present(order[position % n], 'row of that position in an order of rows');
    rows.push(row);
    sampleIds.push(epoch * n + row);
  }
  return { rows, sampleIds };
}
