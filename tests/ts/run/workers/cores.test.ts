import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { availableCores } from '../../../../ts/run/workers/cores.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';

const cores = availableParallelism();

test.each([
  ['100000 100000\n', 1],
  ['50000 100000\n', 1],
  [`${cores * 4}00000 100000\n`, cores],
  ['max 100000\n', cores],
  ['', cores],
])('a quota of %j', (text, expected) => {
  const file = join(temporaryFolder(), 'cpu.max');
  writeFileSync(file, text);
  expect(availableCores(file)).toBe(expected);
});

test('no quota', () => {
  expect(availableCores('/no/such/file')).toBe(cores);
});
