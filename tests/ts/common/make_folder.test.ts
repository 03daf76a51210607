import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { systemCodeOf } from '../../../ts/common/errors.js';
import { discardFolder, FolderError, makeFolder } from '../../../ts/common/make_folder.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';

function failure(folder: string): FolderError {
  try {
    makeFolder(folder);
  } catch (error) {
    if (error instanceof FolderError) return error;
    throw error;
  }
  throw new Error('it was made');
}

test('a folder is made with those above it, and may be there already', () => {
  const folder = path.join(temporaryFolder(), 'a', 'b');
  makeFolder(folder);
  writeFileSync(path.join(folder, 'kept'), '');
  makeFolder(folder);
  expect(readdirSync(folder)).toEqual(['kept']);
});

test('a file that is in the way is named', () => {
  const root = temporaryFolder({ file: '' });
  expect(systemCodeOf(failure(path.join(root, 'file')).cause)).toBe('EEXIST');
  const error = failure(path.join(root, 'file', 'a', 'b'));
  // Below a file Node 20 says that there is no folder, and Node 24 that there is a file.
  expect(['ENOTDIR', 'EEXIST']).toContain(systemCodeOf(error.cause));
  expect(error.message).toContain(`${path.join(root, 'file', 'a', 'b')} cannot be made: E`);
  expect(error.hint).toMatch(/where one can be made/);
});

test('a name that is too long is not said to be missing', () => {
  const error = failure(path.join(temporaryFolder(), 'a', 'n'.repeat(300), 'b'));
  expect(systemCodeOf(error.cause)).toBe('ENAMETOOLONG');
});

test('what was begun in vain goes, and what cannot go costs no other error', () => {
  const folder = path.join(temporaryFolder(), 'a', 'b');
  makeFolder(folder);
  discardFolder(path.dirname(folder));
  expect(existsSync(folder)).toBe(false);
  // The kernel lets nobody remove it.
  expect(() => discardFolder('/proc/self')).not.toThrow();
});
