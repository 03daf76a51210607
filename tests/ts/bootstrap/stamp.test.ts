import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { hashFiles, readJson, writeJson } from '../../../ts/bootstrap/stamp.mjs';
import { temporaryFolder } from './temporary_folder.js';

const SOURCES = { 'ts/a.ts': 'a', 'ts/deep/b.ts': 'b', 'lock.json': '{}' };
const NAMES = ['ts', 'lock.json'];

describe('hashFiles', () => {
  test('depends on contents and paths alone, not on where or when', () => {
    expect(hashFiles(temporaryFolder(SOURCES), NAMES)).toBe(hashFiles(temporaryFolder(SOURCES), NAMES));
  });

  test.each<[string, (root: string) => void]>([
    ['a change', (root) => writeFileSync(join(root, 'ts/deep/b.ts'), 'c')],
    ['a new file', (root) => writeFileSync(join(root, 'ts/new.ts'), '')],
    ['a removed file', (root) => rmSync(join(root, 'ts/a.ts'))],
    ['a renamed file', (root) => renameSync(join(root, 'ts/a.ts'), join(root, 'ts/c.ts'))],
    ['a missing name', (root) => rmSync(join(root, 'lock.json'))],
  ])('sees %s', (_, change) => {
    const root = temporaryFolder(SOURCES);
    const before = hashFiles(root, NAMES);
    change(root);
    expect(hashFiles(root, NAMES)).not.toBe(before);
  });

  test('moving a byte from one file to the next is a change', () => {
    const [one, other] = [temporaryFolder({ a: 'xy', b: 'z' }), temporaryFolder({ a: 'x', b: 'yz' })];
    expect(hashFiles(one, ['a', 'b'])).not.toBe(hashFiles(other, ['a', 'b']));
  });

  test('passes over files that are not wanted', () => {
    const root = temporaryFolder(SOURCES);
    const before = hashFiles(root, NAMES, (name) => name.endsWith('.ts'));
    writeFileSync(join(root, 'ts/notes.md'), 'n');
    expect(hashFiles(root, NAMES, (name) => name.endsWith('.ts'))).toBe(before);
  });
});

describe('JSON files', () => {
  test('are read back, and leave no temporary file', () => {
    const root = temporaryFolder();
    writeJson(join(root, 'deep/state.json'), { a: [1, 2] });
    expect(readJson(join(root, 'deep/state.json'))).toEqual({ a: [1, 2] });
    expect(readdirSync(join(root, 'deep'))).toEqual(['state.json']);
  });

  test('that are missing or damaged count as absent', () => {
    const root = temporaryFolder({ 'cut.json': '{"a": [1' });
    expect(readJson(join(root, 'cut.json'))).toBeUndefined();
    expect(readJson(join(root, 'none.json'))).toBeUndefined();
  });
});
