import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { scalarsRecord, versionRecord } from './event_file.js';
import type { EvaluationRow, StepRow } from './rows.js';

const PREFIX = 'events.out.tfevents.';

/**
 * A stage's scalars for TensorBoard. The files are a view of the journals and hold nothing of their own:
 * opening always begins anew, and whoever resumes appends the rows kept first, so that they agree with the journals.
 */
export class TensorBoard {
  readonly #file: number;
  readonly #startedAt: number;
  #elapsed = 0;

  private constructor(path: string, startedAt: number) {
    this.#file = openSync(path, 'w');
    this.#startedAt = startedAt;
  }

  /**
   * Replaces the folder's event files by an empty one, open for rows in the order of their steps.
   *
   * @param startedAt when the stage began, in seconds since 1970. Rows carry no clock: the time of a row is
   *   this plus the seconds of the steps up to it.
   */
  static open(folder: string, startedAt: number): TensorBoard {
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) if (name.startsWith(PREFIX)) rmSync(join(folder, name));
    const name = `${PREFIX}${String(Math.floor(startedAt)).padStart(10, '0')}.ammd`;
    const board = new TensorBoard(join(folder, name), startedAt);
    board.#write(versionRecord(startedAt));
    return board;
  }

  append(row: StepRow | EvaluationRow): void {
    if (row.kind === 'step') this.#elapsed += row.seconds.total;
    this.#write(scalarsRecord(this.#startedAt + this.#elapsed, row.step, scalarsOf(row)));
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(record: Buffer): void {
    for (let sent = 0; sent < record.length; ) sent += writeSync(this.#file, record, sent);
  }
}

/** Tags and figures of a row; what is null (not finite, not defined) has no point. */
export function scalarsOf(row: StepRow | EvaluationRow): ReadonlyMap<string, number> {
  if (row.kind === 'evaluation') {
    const seed = row.seed === null ? '' : `/seed_${row.seed}`;
    return new Map([[`evaluation/${row.dataset}/${row.metric}/${row.decoding}${seed}`, row.mean]]);
  }
  const entries: [string, number | null][] = [
    ...Object.entries(row.metrics).map(([name, value]): [string, number | null] => [`train/${name}`, value]),
    ['schedule/lr', row.lr],
    ['schedule/critic_lr', row.critic_lr],
    ...Object.entries(row.tokens).map(([name, value]): [string, number] => [`tokens/${name}`, value]),
    ...Object.entries(row.seconds).map(([name, value]): [string, number] => [`seconds/${name}`, value]),
    ['wire/bytes', row.wire_bytes],
  ];
  return new Map(entries.filter((entry): entry is [string, number] => entry[1] !== null));
}
