import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import type { RunEvent } from '../../metrics/events.js';
import { Journal, journalRows, readJournal } from '../../metrics/journal.js';
import {
  type EvaluationRow,
  evaluationRowSchema,
  type SampleRow,
  type StepRow,
  sampleRowSchema,
  stepRowSchema,
} from '../../metrics/rows.js';
import { TensorBoard } from '../../metrics/tensorboard.js';
import type { StageFolder } from '../folder/run_folder.js';
import { addUpdate, NO_UPDATES, type Updates } from './skipped_updates.js';

export const journalOffsetsSchema = z.strictObject({
  metrics: z.int().min(0),
  evaluations: z.int().min(0),
  samples: z.int().min(0),
});
/** Where each file of rows stood when a checkpoint was taken, in bytes. */
export type JournalOffsets = Readonly<z.infer<typeof journalOffsetsSchema>>;

export const NO_ROWS: JournalOffsets = { metrics: 0, evaluations: 0, samples: 0 };

const ROWS_AT_ONCE = 1000;

/**
 * The row files of one stage, opened at the place where training goes on; every row is also an event and, but for
 * texts, a point in TensorBoard.
 */
export class StageJournals {
  readonly #metrics: Journal<StepRow>;
  readonly #evaluations: Journal<EvaluationRow>;
  readonly #samples: Journal<SampleRow>;
  readonly #board: TensorBoard;
  readonly #emit: (event: RunEvent) => void;
  #updates = NO_UPDATES;

  private constructor(
    folder: StageFolder,
    offsets: JournalOffsets,
    startedAt: number,
    emit: (event: RunEvent) => void,
  ) {
    this.#metrics = Journal.open(folder.metrics, stepRowSchema);
    this.#evaluations = Journal.open(folder.evaluations, evaluationRowSchema);
    this.#samples = Journal.open(folder.samples, sampleRowSchema);
    this.#metrics.cutBack(offsets.metrics);
    this.#evaluations.cutBack(offsets.evaluations);
    this.#samples.cutBack(offsets.samples);
    this.#emit = emit;
    this.#board = TensorBoard.open(folder.tensorboard, startedAt);
  }

  /**
   * Cuts the files back to `offsets`, and draws what they keep in TensorBoard.
   *
   * @param startedAt seconds since 1970, for the time axis of TensorBoard.
   */
  static async open(
    folder: StageFolder,
    offsets: JournalOffsets,
    startedAt: number,
    emit: (event: RunEvent) => void,
  ): Promise<StageJournals> {
    const journals = new StageJournals(folder, offsets, startedAt, emit);
    let drawn = 0;
    for (const row of keptRows(folder)) {
      journals.#draw(row);
      drawn += 1;
      // A million rows take a minute, in which the worker must go on to hear from this process.
      if (drawn % ROWS_AT_ONCE === 0) await setImmediate();
    }
    return journals;
  }

  append(row: StepRow | EvaluationRow | SampleRow): void {
    switch (row.kind) {
      case 'step':
        this.#metrics.append(row);
        break;
      case 'evaluation':
        this.#evaluations.append(row);
        break;
      case 'sample':
        this.#samples.append(row);
        break;
    }
    if (row.kind !== 'sample') this.#draw(row);
    this.#emit(row);
  }

  /** Updates of the whole stage, also where it was resumed. */
  get updates(): Updates {
    return this.#updates;
  }

  #draw(row: StepRow | EvaluationRow): void {
    this.#board.append(row);
    if (row.kind === 'step') this.#updates = addUpdate(this.#updates, row);
  }

  /** Makes all rows durable and says where the files stand. */
  flush(): JournalOffsets {
    for (const journal of [this.#metrics, this.#evaluations, this.#samples]) journal.flush();
    return {
      metrics: this.#metrics.offset,
      evaluations: this.#evaluations.offset,
      samples: this.#samples.offset,
    };
  }

  close(): void {
    for (const journal of [this.#metrics, this.#evaluations, this.#samples]) journal.close();
    this.#board.close();
  }
}

/** Step and evaluation rows in the order of their steps; an evaluation comes after the step it is of. */
function* keptRows(folder: StageFolder): Generator<StepRow | EvaluationRow, void> {
  const evaluations = readJournal(folder.evaluations, evaluationRowSchema).values();
  let next = evaluations.next();
  for (const row of journalRows(folder.metrics, stepRowSchema)) {
    for (; next.done !== true && next.value.step < row.step; next = evaluations.next()) yield next.value;
    yield row;
  }
  for (; next.done !== true; next = evaluations.next()) yield next.value;
}
