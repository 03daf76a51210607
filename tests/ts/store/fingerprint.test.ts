import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { contentFingerprint } from '../../../ts/store/fingerprint.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';

const of = (source: string) => contentFingerprint()(source);

test('a file is what is in it, wherever it lies', () => {
  const folder = temporaryFolder();
  const [a, b] = [path.join(folder, 'a.jsonl'), path.join(folder, 'b.jsonl')];
  writeFileSync(a, 'one');
  // SHA-256 of "one", by sha256sum.
  expect(of(a)).toBe('sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed');
  const first = of(a);
  renameSync(a, b);
  expect(of(b)).toBe(first);
  expect(of(`gguf:${b}`)).toBe(first);
  writeFileSync(b, 'two');
  expect(of(b)).not.toBe(first);
});

test('a folder is the names and contents of its files', () => {
  const folder = temporaryFolder();
  mkdirSync(path.join(folder, 'inner'));
  writeFileSync(path.join(folder, 'inner', 'x'), '1');
  const first = of(folder);
  writeFileSync(path.join(folder, '.hidden'), 'left by an editor');
  expect(of(folder)).toBe(first);
  renameSync(path.join(folder, 'inner', 'x'), path.join(folder, 'inner', 'y'));
  expect(of(folder)).not.toBe(first);
});

test('what is no file stands for itself', () => {
  expect(of('builtin:microtasks')).toBe('builtin:microtasks');
  expect(of('org/dataset')).toBe('org/dataset');
});

test('a source is read once', () => {
  const file = path.join(temporaryFolder(), 'a');
  writeFileSync(file, 'one');
  const fingerprint = contentFingerprint();
  const first = fingerprint(file);
  writeFileSync(file, 'two');
  expect(fingerprint(file)).toBe(first);
});
