import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { logTail } from '../../../ts/worker/log_tail.js';

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

  test('is the last twenty lines of a long one', () => {
    writeFileSync(file, Array.from({ length: 5000 }, (_, line) => `line ${line}`).join('\n'));
    expect(logTail(file)).toBe(Array.from({ length: 20 }, (_, line) => `line ${4980 + line}`).join('\n'));
  });
});
