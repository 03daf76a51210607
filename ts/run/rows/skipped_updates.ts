import type { StepRow } from '../../metrics/rows.js';

/** Updates that a stage's steps were to make of the student. */
export interface Updates {
  readonly all: number;
  /** Left out, since the gradient was not finite. */
  readonly skipped: number;
  /** A loss scale, which float16 needs, is found by skipping some. */
  readonly scaled: boolean;
}

export const NO_UPDATES: Updates = { all: 0, skipped: 0, scaled: false };

/** The updates with that of one more row, if it has one. */
export function addUpdate(updates: Updates, { metrics }: StepRow): Updates {
  if (!('skipped' in metrics)) return updates;
  return {
    all: updates.all + 1,
    skipped: updates.skipped + (metrics.skipped === 0 ? 0 : 1),
    scaled: updates.scaled || 'loss_scale' in metrics,
  };
}

/** The updates of all rows of a stage. */
export function updatesOf(rows: Iterable<StepRow>): Updates {
  let updates = NO_UPDATES;
  for (const row of rows) updates = addUpdate(updates, row);
  return updates;
}

/** What to tell of updates that were skipped; null where none was. */
export function skippedText({ all, skipped, scaled }: Updates): string | null {
  if (skipped === 0) return null;
  const usual = scaled ? 'a few are usual in float16; if there are more, ' : '';
  const were = skipped === 1 ? 'was' : 'were';
  return `${skipped} of ${all} updates ${were} skipped, since the gradient was not finite; ${usual}lower training.lr`;
}
