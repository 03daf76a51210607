import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import * as files from '../../../ts/common/atomic_file.js';
import { resolveSmall, sweepFiles } from './scene.js';

const writeFileAtomic = jest.fn(files.writeFileAtomic);
jest.unstable_mockModule('../../../ts/common/atomic_file.js', () => ({ ...files, writeFileAtomic }));
const { makeSweepFolder } = await import('../../../ts/sweep/sweep_folder.js');

test('a folder that cannot be made whole does not stay, and can be made again', () => {
  const out = join(sweepFiles(), 'out');
  const resolved = resolveSmall();
  const full = new Error('ENOSPC');
  writeFileAtomic.mockImplementationOnce(files.writeFileAtomic).mockImplementationOnce(() => {
    throw full;
  });
  expect(() => makeSweepFolder(resolved, out, new Date())).toThrow(full);
  expect(existsSync(out)).toBe(false);
  expect(makeSweepFolder(resolved, out, new Date()).holdsSweep()).toBe(true);
});
