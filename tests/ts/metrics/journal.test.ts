import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Journal, JournalError, journalRows, readJournal } from '../../../ts/metrics/journal.js';
import {
  type EvaluationRow,
  evaluationRowSchema,
  finiteOrNull,
  type SampleRow,
  type StepRow,
  sampleRowSchema,
  stepRowSchema,
} from '../../../ts/metrics/rows.js';
import { makeEvaluation, makeSample, makeStep } from './make_rows.js';

const step = (n: number, metrics: StepRow['metrics'] = { loss: 1 / 3 }): StepRow =>
  makeStep({ step: n, metrics });

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ammd-journal-'));
  path = join(folder, 'stages', 'ammd', 'metrics.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = (): Journal<StepRow> => Journal.open(path, stepRowSchema);
const steps = (): number[] => readJournal(path, stepRowSchema).map((row) => row.step);

function failure(action: () => unknown): JournalError {
  try {
    action();
  } catch (error) {
    if (error instanceof JournalError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('append and read', () => {
  test('rows come back as they were, floats to the last bit', () => {
    const journal = open();
    const row = step(1, { loss: 0.1 + 0.2, tiny: 5e-324, undefined_here: null });
    journal.append(row);
    journal.close();
    expect(readJournal(path, stepRowSchema)).toEqual([row]);
  });

  test('the offset counts bytes, not characters, and goes on after reopening', () => {
    const first = Journal.open<SampleRow>(path, sampleRowSchema);
    const sample = makeSample({ stage: 'ä', prompt: '日本', text: 'a\nb\u2028', references: [] });
    first.append(sample);
    expect(first.offset).toBe(readFileSync(path).length);
    first.close();
    const second = Journal.open<SampleRow>(path, sampleRowSchema);
    second.append(sample);
    second.flush();
    expect(second.offset).toBe(readFileSync(path).length);
    second.close();
    expect(readJournal(path, sampleRowSchema)).toEqual([sample, sample]);
  });

  test('a row that could not be read back is not written', () => {
    const journal = open();
    expect(failure(() => journal.append(step(1, { loss: Number.NaN }))).message).toMatch(/metrics\.loss/);
    expect(failure(() => journal.append({ ...step(1), lr: Number.POSITIVE_INFINITY })).code).toBe(
      'journal_row',
    );
    expect(journal.offset).toBe(0);
    journal.close();
    expect(readFileSync(path, 'utf8')).toBe('');
  });

  test('a missing file has no rows; a folder in its place is an error', () => {
    expect(readJournal(join(folder, 'none.jsonl'), stepRowSchema)).toEqual([]);
    expect(() => readJournal(folder, stepRowSchema)).toThrow(/EISDIR/);
  });

  test('an evaluation row may have scores or not', () => {
    const row = makeEvaluation({ step: 0 });
    const journal = Journal.open<EvaluationRow>(path, evaluationRowSchema);
    journal.append(row);
    journal.append({ ...row, scores: [0, 100] });
    journal.close();
    expect(readJournal(path, evaluationRowSchema)).toEqual([row, { ...row, scores: [0, 100] }]);
  });
});

describe('a file of more bytes than are held at a time', () => {
  const CHUNK = 2 ** 20;
  const line = (text: string): string => `${JSON.stringify(makeSample({ text }))}\n`;
  const texts = (): string[] => readJournal(path, sampleRowSchema).map(({ text }) => text);
  const write = (...lines: readonly string[]): void => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, lines.join(''));
  };

  // Of two files that differ by one byte ahead of characters of two, one has a character across the chunks' border.
  test.each(['', 'x'])('is read whole where a chunk ends inside a character: %j', (ahead) => {
    const expected = [ahead, 'ä'.repeat(CHUNK), '日本', ''];
    write(...expected.map(line));
    expect(texts()).toEqual(expected);
  });

  test('is read whole where a line ends with a chunk', () => {
    const fitting = 'x'.repeat(CHUNK - Buffer.byteLength(line('')));
    expect(Buffer.byteLength(line(fitting))).toBe(CHUNK);
    write(line(fitting), line(fitting), line('last'));
    expect(texts()).toEqual([fitting, fitting, 'last']);
  });

  test('has its damaged line named', () => {
    write(line('x'.repeat(3 * CHUNK)), line(''), '{"kind":\n', line(''));
    expect(failure(texts).message).toBe(`${path}:3: not JSON`);
  });

  test('is cut back to its last row, over however many bytes follow', () => {
    write(line('first'), '{"kind":"', 'x'.repeat(3 * CHUNK));
    expect(texts()).toEqual(['first']);
    const journal = Journal.open(path, sampleRowSchema);
    expect(journal.offset).toBe(Buffer.byteLength(line('first')));
    journal.close();
    expect(texts()).toEqual(['first']);
  });
});

test('rows are read as they are asked for', () => {
  const journal = open();
  for (const n of [1, 2]) journal.append(step(n));
  journal.close();
  appendFileSync(path, 'damaged\n');
  const rows = journalRows(path, stepRowSchema);
  expect([rows.next(), rows.next()].map(({ value }) => value?.step)).toEqual([1, 2]);
  expect(failure(() => rows.next()).message).toBe(`${path}:3: not JSON`);
});

describe('damage', () => {
  test('a bad line is named by file, line and key', () => {
    const journal = open();
    journal.append(step(1));
    journal.close();
    appendFileSync(path, `${JSON.stringify({ ...step(2), lr: 'fast' })}\n`);
    const wrong = failure(steps);
    expect(wrong.message).toContain(`${path}:2: lr:`);
    expect(wrong.hint).toMatch(/remove it/);
    writeFileSync(path, '{"kind":\n');
    expect(failure(steps).message).toBe(`${path}:1: not JSON`);
    writeFileSync(path, '7\n');
    expect(failure(steps).message).toContain(`${path}:1: `);
  });

  test('an unknown key is refused', () => {
    writeFileSync(join(folder, 'x.jsonl'), `${JSON.stringify({ ...step(1), loss: 3 })}\n`);
    expect(failure(() => readJournal(join(folder, 'x.jsonl'), stepRowSchema)).message).toMatch(/loss/);
  });

  test('an unfinished last line is skipped by readers and cut by the next writer', () => {
    const first = open();
    first.append(step(1));
    first.append(step(2));
    first.close();
    appendFileSync(path, '{"kind":"step","sta');
    expect(steps()).toEqual([1, 2]);
    const second = open();
    second.append(step(3));
    second.close();
    expect(steps()).toEqual([1, 2, 3]);
  });

  test('a file that is one unfinished line is emptied', () => {
    open().close();
    appendFileSync(path, '{"kind"');
    const journal = open();
    expect(journal.offset).toBe(0);
    journal.close();
    expect(readFileSync(path, 'utf8')).toBe('');
  });
});

describe('cut back', () => {
  test('rows after the offset are gone, and appending goes on there', () => {
    const journal = open();
    journal.append(step(1));
    const kept = journal.offset;
    journal.append(step(2));
    journal.append(step(3));
    journal.cutBack(kept);
    expect(journal.offset).toBe(kept);
    journal.append(step(4));
    journal.close();
    expect(steps()).toEqual([1, 4]);
  });

  test('to the start, and to the end', () => {
    const journal = open();
    journal.append(step(1));
    journal.cutBack(journal.offset);
    expect(steps()).toEqual([1]);
    journal.cutBack(0);
    expect(steps()).toEqual([]);
    journal.close();
  });

  test('an offset inside a row or past the end is refused, and nothing is lost', () => {
    const journal = open();
    journal.append(step(1));
    expect(failure(() => journal.cutBack(journal.offset - 3)).message).toMatch(/no row ends at byte/);
    expect(failure(() => journal.cutBack(journal.offset + 1)).message).toMatch(/bytes, but the checkpoint/);
    expect(failure(() => journal.cutBack(journal.offset + 1)).code).toBe('journal_offset');
    journal.close();
    expect(steps()).toEqual([1]);
  });
});

test('what is not finite becomes null and keeps its key, from records and maps', () => {
  const expected = { loss: 2, bad: null, worse: null };
  const record = { loss: 2, bad: Number.NaN, worse: Number.NEGATIVE_INFINITY };
  expect(finiteOrNull(record)).toEqual(expected);
  expect(finiteOrNull(new Map(Object.entries(record)))).toEqual(expected);
});
