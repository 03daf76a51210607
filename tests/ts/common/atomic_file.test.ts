import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { writeFileAtomic, writeJsonAtomic } from '../../../ts/common/atomic_file.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';

test('new content replaces old, and no temporary file stays', () => {
  const folder = temporaryFolder();
  const file = path.join(folder, 'a.txt');
  writeFileSync(file, 'old and longer');
  writeFileAtomic(file, 'new');
  expect(readFileSync(file, 'utf8')).toBe('new');
  expect(readdirSync(folder)).toEqual(['a.txt']);
});

test('JSON ends with a newline', () => {
  const file = path.join(temporaryFolder(), 'a.json');
  writeJsonAtomic(file, { b: [1, null] });
  const text = readFileSync(file, 'utf8');
  expect(JSON.parse(text)).toEqual({ b: [1, null] });
  expect(text.endsWith('}\n')).toBe(true);
});

test('a rename that fails leaves nothing behind', () => {
  const folder = temporaryFolder();
  mkdirSync(path.join(folder, 'taken'));
  expect(() => writeFileAtomic(path.join(folder, 'taken'), 'text')).toThrow(/EISDIR|directory/);
  expect(readdirSync(folder)).toEqual(['taken']);
});

test('a folder that is not there is told by the file system', () => {
  expect(() => writeFileAtomic(path.join(temporaryFolder(), 'none', 'a.txt'), 'text')).toThrow(/ENOENT/);
});

/** What is written to it finds the disk full. */
const FULL = '/dev/full';

(existsSync(FULL) ? test : test.skip)('a full disk is told with the file', () => {
  const folder = temporaryFolder();
  const file = path.join(folder, 'a.txt');
  symlinkSync(FULL, `${file}.tmp-${process.pid}`);
  expect(() => writeFileAtomic(file, 'text')).toThrow(`ENOSPC: no space left on device, write '${file}'`);
  expect(readdirSync(folder)).toEqual([]);
});
