import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { acquireLock, markOf, removeStale } from '../../../../ts/run/folder/lock.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';

let file = '';
beforeEach(() => {
  file = path.join(temporaryFolder(), 'lock');
});

function leave(owner: Readonly<Record<string, unknown>>): void {
  writeFileSync(file, JSON.stringify({ host: hostname(), since: '2026-01-01T00:00:00Z', ...owner }));
}

/** The process id of a process that has ended. */
const goneProcess = () => spawnSync(process.execPath, ['-e', '']).pid;

test('a lock names its owner, is given back, and can be taken again', () => {
  const release = acquireLock(file);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid, host: hostname() });
  release();
  expect(existsSync(file)).toBe(false);
  acquireLock(file)();
});

describe('a lock that is there', () => {
  test('of a living process is respected, and the error says whose it is', () => {
    leave({ pid: process.ppid });
    const text = readFileSync(file, 'utf8');
    expect(() => acquireLock(file)).toThrow(
      expect.objectContaining({
        code: 'run_locked',
        message: `the run is in use by process ${process.ppid} on ${hostname()} since 2026-01-01T00:00:00Z`,
        hint: expect.stringContaining(file),
      }),
    );
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  test('of this process is respected, unless a process of that number left it', () => {
    const release = acquireLock(file);
    const link = path.join(temporaryFolder(), 'link');
    symlinkSync(path.dirname(file), link);
    for (const again of [file, path.join(link, 'lock')])
      expect(() => acquireLock(again)).toThrow(expect.objectContaining({ code: 'run_locked' }));
    release();
    leave({ pid: process.pid }); // as a container does that was killed and started again
    acquireLock(file);
    expect(JSON.parse(readFileSync(file, 'utf8')).since).not.toBe('2026-01-01T00:00:00Z');
  });

  test('of a process that has ended is taken over', () => {
    leave({ pid: goneProcess() });
    acquireLock(file);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid });
  });

  test('is not removed where another process took it over first', () => {
    leave({ pid: goneProcess() });
    const stale = markOf(file) as { ino: number; mtimeMs: number };
    unlinkSync(file);
    writeFileSync(file, ''); // created by the other one, and not written yet
    const another = openSync(file, 'a');
    removeStale(file, { ...stale, mtimeMs: stale.mtimeMs - 1 });
    writeSync(another, 'mine');
    closeSync(another);
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  test('is removed once', () => {
    leave({ pid: goneProcess() });
    const stale = markOf(file) as { ino: number; mtimeMs: number };
    removeStale(file, stale);
    removeStale(file, stale);
    expect(readdirSync(path.dirname(file))).toEqual([]);
  });

  test('of another host is respected: nobody here can know whether it lives', () => {
    leave({ pid: goneProcess(), host: 'elsewhere' });
    expect(() => acquireLock(file)).toThrow(/on elsewhere/);
  });

  test('without an owner is being written, until it is old', () => {
    writeFileSync(file, '');
    expect(() => acquireLock(file)).toThrow(expect.objectContaining({ code: 'run_locked' }));
    const longAgo = new Date(Date.now() - 60_000);
    utimesSync(file, longAgo, longAgo);
    acquireLock(file);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid });
  });
});

test('a folder that is not there is told by the file system', () => {
  expect(() => acquireLock(path.join(file, 'none', 'lock'))).toThrow(/ENOENT/);
});
