import { Journal, readJournal } from '../metrics/journal.js';
import { type TrialRow, trialRowSchema } from '../metrics/sweep_rows.js';

/** The trials that are done: their rows in memory and in the sweep's file, which grow together. */
export class TrialLog {
  readonly #journal: Journal<TrialRow>;
  readonly #rows: TrialRow[];

  private constructor(journal: Journal<TrialRow>, rows: TrialRow[]) {
    this.#journal = journal;
    this.#rows = rows;
  }

  /** @throws JournalError when the file has something else than rows of trials */
  static open(path: string): TrialLog {
    const journal = Journal.open(path, trialRowSchema);
    try {
      return new TrialLog(journal, readJournal(path, trialRowSchema));
    } catch (error) {
      journal.close();
      throw error;
    }
  }

  /** In the order in which the trials finished. */
  get rows(): readonly TrialRow[] {
    return this.#rows;
  }

  /** Returns once the row is on disk. */
  add(row: TrialRow): void {
    this.#journal.append(row);
    this.#journal.flush();
    this.#rows.push(row);
  }

  close(): void {
    this.#journal.close();
  }
}
