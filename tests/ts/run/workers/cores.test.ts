import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { availableCores, threadsOfOne } from '../../../../ts/run/workers/cores.js';
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

describe('threads of a worker that has the machine to itself', () => {
  const inherited = process.env.OMP_NUM_THREADS;
  beforeEach(() => {
    delete process.env.OMP_NUM_THREADS;
  });
  afterEach(() => {
    if (inherited === undefined) delete process.env.OMP_NUM_THREADS;
    else process.env.OMP_NUM_THREADS = inherited;
  });

  test("are torch's choice where there is no quota", () => {
    expect(threadsOfOne(0, cores)).toBe(0);
  });

  test("are a container's share", () => {
    expect(threadsOfOne(0, cores + 1)).toBe(cores + 1);
  });

  test('are what the configuration says, or the environment', () => {
    expect(threadsOfOne(3, cores + 1)).toBe(3);
    process.env.OMP_NUM_THREADS = '7';
    expect(threadsOfOne(0, cores + 1)).toBe(0);
  });
});
