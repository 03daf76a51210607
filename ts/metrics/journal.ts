import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { AmmdError } from '../common/errors.js';

const NEWLINE = 0x0a;

/** A JSONL file that is not what it should be: code `journal_row` (one line) or `journal_offset`. */
export class JournalError extends AmmdError {}

/**
 * An append-only JSONL file of rows of one type.
 *
 * Writes are synchronous: a row is a few hundred bytes and goes to the page cache in microseconds, so it
 * survives the death of this process the moment `append` returns. `flush` makes rows survive the machine's.
 * A row exists once its newline does; readers skip an unfinished last line.
 */
export class Journal<Row> {
  readonly path: string;
  readonly #schema: z.ZodType<Row>;
  readonly #file: number;
  #offset: number;

  private constructor(path: string, schema: z.ZodType<Row>) {
    mkdirSync(dirname(path), { recursive: true });
    this.path = path;
    this.#schema = schema;
    this.#file = openSync(path, 'a+');
    this.#offset = fstatSync(this.#file).size;
  }

  /** Opens for appending; makes the file and its folder when missing, cuts an unfinished last line. */
  static open<Row>(path: string, schema: z.ZodType<Row>): Journal<Row> {
    const journal = new Journal(path, schema);
    if (!journal.#rowEndsAt(journal.#offset)) journal.cutBack(readFileSync(path).lastIndexOf(NEWLINE) + 1);
    return journal;
  }

  /** Bytes written so far. Kept in a checkpoint, and given to `cutBack` on resume. */
  get offset(): number {
    return this.#offset;
  }

  /** @throws {JournalError} the row could not be read back (a figure that is not finite, an unknown key) */
  append(row: Row): void {
    const checked = this.#schema.safeParse(row);
    if (!checked.success) {
      throw new JournalError('journal_row', `${this.path}: row not written: ${describe(checked.error)}`);
    }
    const line = Buffer.from(`${JSON.stringify(checked.data)}\n`);
    for (let sent = 0; sent < line.length; ) sent += writeSync(this.#file, line, sent);
    this.#offset += line.length;
  }

  /**
   * Forgets every row after `offset`: what ran after the checkpoint is run again.
   *
   * @throws {JournalError} the file is shorter than `offset`, or no row ends there
   */
  cutBack(offset: number): void {
    const size = fstatSync(this.#file).size;
    if (offset > size) {
      throw new JournalError(
        'journal_offset',
        `${this.path} has ${size} bytes, but the checkpoint was taken at byte ${offset}`,
        {
          hint: 'The file was changed after the checkpoint; restore it, or resume from an older checkpoint.',
        },
      );
    }
    if (!this.#rowEndsAt(offset)) {
      throw new JournalError('journal_offset', `${this.path}: no row ends at byte ${offset}`, {
        hint: 'The file was changed after the checkpoint; restore it, or resume from an older checkpoint.',
      });
    }
    ftruncateSync(this.#file, offset);
    this.#offset = offset;
  }

  /** Returns once all rows are on disk. */
  flush(): void {
    fsyncSync(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }

  #rowEndsAt(offset: number): boolean {
    const last = Buffer.alloc(1);
    return offset === 0 || (readSync(this.#file, last, 0, 1, offset - 1) === 1 && last[0] === NEWLINE);
  }
}

/**
 * All rows of a JSONL file, in order; none when the file is missing. An unfinished last line (the writer is
 * at it, or died there) is skipped.
 *
 * @throws {JournalError} a line is no JSON or no such row; the message names file and line
 */
export function readJournal<Row>(path: string, schema: z.ZodType<Row>): Row[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  lines.pop(); // empty after the last newline, or unfinished
  return lines.map((line, index) => parseLine(line, schema, `${path}:${index + 1}`));
}

function parseLine<Row>(line: string, schema: z.ZodType<Row>, place: string): Row {
  const hint = 'The line was damaged, or written by another version; remove it to read the rest.';
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new JournalError('journal_row', `${place}: not JSON`, { cause, hint });
  }
  const checked = schema.safeParse(value);
  if (!checked.success)
    throw new JournalError('journal_row', `${place}: ${describe(checked.error)}`, { hint });
  return checked.data;
}

function describe(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'not a row';
  const key = issue.path.map(String).join('.');
  return key === '' ? issue.message : `${key}: ${issue.message}`;
}
