import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { logSize, logTail } from '../../../ts/worker/log_tail.js';

const folder = mkdtempSync(path.join(tmpdir(), 'ammd-test-'));
const file = path.join(folder, 'worker.log');
afterAll(() => rmSync(folder, { recursive: true }));

describe('logTail', () => {
  test('is empty without a log', () => {
    expect(logTail(path.join(folder, 'missing'))).toBe('');
  });

  test('is the whole of a short log', () => {
    writeFileSync(file, 'one\ntwo\n\n');
    expect(logTail(file)).toBe('one\ntwo');
  });

  test('leaves out what earlier processes wrote', () => {
    writeFileSync(file, 'an older crash\n');
    const begin = logSize(file);
    expect(logTail(file, begin)).toBe('');
    appendFileSync(file, 'a new one\n');
    expect(logTail(file, begin)).toBe('a new one');
    expect(logSize(path.join(folder, 'missing'))).toBe(0);
  });

  test('is the last twenty lines of a long one', () => {
    writeFileSync(file, Array.from({ length: 5000 }, (_, line) => `line ${line}`).join('\n'));
    expect(logTail(file)).toBe(Array.from({ length: 20 }, (_, line) => `line ${4980 + line}`).join('\n'));
  });
});
