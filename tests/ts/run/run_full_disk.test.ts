import * as fs from 'node:fs';
import path from 'node:path';
import { expect, jest, test } from '@jest/globals';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';

const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {
  code: 'ENOSPC',
  syscall: 'write',
});
const writeSync = jest.fn<typeof fs.writeSync>(() => {
  throw full;
});
jest.unstable_mockModule('node:fs', () => ({ ...fs, writeSync }));
const { startRun } = await import('../../../ts/run/run.js');

const start = (out: string) =>
  startRun(resolveConfig('tests/fixtures/configs/tiny.yaml'), out, { emit: () => {}, report: () => {} });

test('a run that cannot be locked leaves no folder', async () => {
  const out = path.join(temporaryFolder(), 'run');
  await expect(start(out)).rejects.toThrow(
    `ENOSPC: no space left on device, write '${path.join(out, 'lock')}'`,
  );
  expect(writeSync).toHaveBeenCalled();
  expect(fs.existsSync(out)).toBe(false);
});

test('nor takes away what another process has put there meanwhile', async () => {
  const out = path.join(temporaryFolder(), 'run');
  writeSync.mockImplementationOnce(() => {
    fs.writeFileSync(path.join(out, 'theirs'), '');
    throw full;
  });
  await expect(start(out)).rejects.toBe(full);
  expect(fs.readdirSync(out)).toEqual(['theirs']);
});
