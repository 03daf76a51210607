import { z } from 'zod';
import type { RunEvent } from '../metrics/events.js';
import { Journal, readJournal } from '../metrics/journal.js';
import {
  type EvaluationRow,
  evaluationRowSchema,
  type SampleRow,
  type StepRow,
  sampleRowSchema,
  stepRowSchema,
} from '../metrics/rows.js';
import { TensorBoard } from '../metrics/tensorboard.js';
import type { StageFolder } from './run_folder.js';

export const journalOffsetsSchema = z.strictObject({
  metrics: z.int().min(0),
  evaluations: z.int().min(0),
  samples: z.int().min(0),
});
/** Where each file of rows stood when a checkpoint was taken, in bytes. */
export type JournalOffsets = Readonly<z.infer<typeof journalOffsetsSchema>>;

export const NO_ROWS: JournalOffsets = { metrics: 0, evaluations: 0, samples: 0 };

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

  /** @param startedAt seconds since 1970, for the time axis of TensorBoard. */
  constructor(
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
    const kept = [
      ...readJournal(folder.metrics, stepRowSchema),
      ...readJournal(folder.evaluations, evaluationRowSchema),
    ];
    this.#board = TensorBoard.open(folder.tensorboard, kept, startedAt);
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
    if (row.kind !== 'sample') this.#board.append(row);
    this.#emit(row);
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
