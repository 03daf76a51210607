import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { AmmdError, type ErrorOptionsWithHint } from '../common/errors.js';

const NEWLINE = 0x0a;
/** Bytes of a file that are held at a time: a journal may be longer than a string, or a buffer, can be. */
const CHUNK = 2 ** 20;

export type JournalErrorCode =
  /** One line is not a row. */
  | 'journal_row'
  /** The file does not go as far as a checkpoint says, or no row ends there. */
  | 'journal_offset';

/** A JSONL file that is not what it should be. */
export class JournalError extends AmmdError {
  constructor(
    readonly code: JournalErrorCode,
    message: string,
    options: ErrorOptionsWithHint = {},
  ) {
    super(message, options);
  }
}

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
    if (!journal.#rowEndsAt(journal.#offset)) journal.cutBack(journal.#lastRowEnd());
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

  #lastRowEnd(): number {
    const chunk = Buffer.alloc(CHUNK);
    for (let end = this.#offset; end > 0; end -= CHUNK) {
      const start = Math.max(0, end - CHUNK);
      const length = readSync(this.#file, chunk, 0, end - start, start);
      const newline = chunk.subarray(0, length).lastIndexOf(NEWLINE);
      if (newline >= 0) return start + newline + 1;
    }
    return 0;
  }
}

/**
 * The rows of a JSONL file one by one, in order; none when the file is missing. An unfinished last line (the
 * writer is at it, or died there) is skipped.
 *
 * @throws {JournalError} a line is no JSON or no such row; the message names file and line
 */
export function* journalRows<Row>(path: string, schema: z.ZodType<Row>): Generator<Row, void> {
  if (!existsSync(path)) return;
  let number = 0;
  for (const line of finishedLines(path)) {
    number += 1;
    yield parseLine(line, schema, `${path}:${number}`);
  }
}

/** All rows of a JSONL file that has few enough of them to be held. @throws as `journalRows` */
export function readJournal<Row>(path: string, schema: z.ZodType<Row>): Row[] {
  return [...journalRows(path, schema)];
}

function* finishedLines(path: string): Generator<string, void> {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(CHUNK);
    let begun: Buffer[] = []; // of the line that the chunks before did not end
    for (let length = readSync(file, buffer); length > 0; length = readSync(file, buffer)) {
      const chunk = buffer.subarray(0, length);
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        yield Buffer.concat([...begun, chunk.subarray(start, end)]).toString();
        begun = [];
        start = end + 1;
      }
      begun.push(Buffer.from(chunk.subarray(start)));
    }
  } finally {
    closeSync(file);
  }
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
