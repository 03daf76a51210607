import { existsSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { findPlaces } from '../../../ts/bootstrap/places.mjs';
import { runMissing, setUp } from '../../../ts/bootstrap/set_up.mjs';
import { withSetupLock } from '../../../ts/bootstrap/setup_lock.mjs';
import { temporaryFolder } from './temporary_folder.js';

const silent = () => undefined;

/** A step that becomes ready once it has run; `log` gets its name. */
function step(name: string, log: string[], ready = false, fail = false) {
  let done = ready;
  return {
    name,
    ready: () => done,
    run: async () => {
      log.push(name);
      if (fail) throw new Error(`${name} broke`);
      done = true;
    },
  };
}

describe('runMissing', () => {
  test('runs what is missing, in order, and next time nothing', async () => {
    const lock = join(temporaryFolder(), 'setup.lock');
    const log: string[] = [];
    const steps = [step('modules', log), step('environment', log, true), step('build', log)];
    await runMissing(steps, lock, silent);
    await runMissing(steps, lock, silent);
    expect(log).toEqual(['modules', 'build']);
    expect(existsSync(lock)).toBe(false);
  });

  test('a failed step ends the set-up, frees the lock, and is tried again', async () => {
    const lock = join(temporaryFolder(), 'setup.lock');
    const log: string[] = [];
    const steps = [step('modules', log, false, true), step('build', log)];
    await expect(runMissing(steps, lock, silent)).rejects.toThrow('modules broke');
    expect(existsSync(lock)).toBe(false);
    await expect(runMissing(steps, lock, silent)).rejects.toThrow('modules broke');
    expect(log).toEqual(['modules', 'modules']);
  });

  test('of two at once the second waits, then finds everything done', async () => {
    const lock = join(temporaryFolder(), 'setup.lock');
    const [log, said]: [string[], string[]] = [[], []];
    let release: () => void = silent;
    let done = false;
    const slow = {
      name: 'slow',
      ready: () => done,
      run: async () => {
        log.push('slow');
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        done = true;
      },
    };
    const first = runMissing([slow], lock, silent);
    const second = runMissing([slow], lock, (line) => {
      said.push(line);
      release();
    });
    await Promise.all([first, second]);
    expect(log).toEqual(['slow']);
    expect(said).toEqual([expect.stringContaining(`"pid":${process.pid}`)]);
  });
});

describe('setUp of an installed package', () => {
  const locks = Object.fromEntries(
    ['build', 'torch', 'torch-cpu', 'runtime', 'cuda'].map((name) => [
      `py_worker/requirements/${name}.lock`,
      '',
    ]),
  );

  test('leaves everything as it is for a command that uses no Python', async () => {
    const root = temporaryFolder(locks);
    const places = findPlaces(root, { XDG_DATA_HOME: join(root, 'data') });
    await expect(setUp(places, {}, { kind: 'cli', groups: [], usesPython: false })).resolves.toBeUndefined();
    expect(readdirSync(root)).toEqual(['py_worker']);
  });

  test('a place that cannot be written is told, with how to choose another', async () => {
    const root = temporaryFolder({ ...locks, 'a file': '' });
    const places = findPlaces(root, { AMMD_VENV: join(root, 'a file', 'venv') });
    await expect(setUp(places, {}, { kind: 'cli', groups: [], usesPython: true })).rejects.toMatchObject({
      message: expect.stringContaining('cannot write: ENOTDIR'),
      remedy: expect.stringContaining('AMMD_VENV=…'),
    });
  });
});

describe('withSetupLock', () => {
  test('one that was taken over meanwhile does not end the set-up', async () => {
    const lock = join(temporaryFolder(), 'setup.lock');
    jest.useFakeTimers();
    const task = async () => {
      rmSync(lock);
      jest.advanceTimersByTime(10_000);
      return 'done';
    };
    try {
      await expect(withSetupLock(lock, task, silent)).resolves.toBe('done');
    } finally {
      jest.useRealTimers();
    }
  });

  const DEAD_PID = 2 ** 22 + 1; // above the highest process id of Linux

  test.each([
    ['a process that died here', JSON.stringify({ pid: DEAD_PID, host: hostname() }), 0],
    ['a machine that was switched off', JSON.stringify({ pid: 1, host: 'elsewhere' }), 120_000],
    ['a process that died while writing it', '', 120_000],
  ])('takes over the lock of %s', async (_, holder, age) => {
    const folder = temporaryFolder({ 'setup.lock': holder });
    const touched = new Date(Date.now() - age);
    utimesSync(join(folder, 'setup.lock'), touched, touched);
    await expect(withSetupLock(join(folder, 'setup.lock'), async () => 'done', silent)).resolves.toBe('done');
    expect(readdirSync(folder)).toEqual([]);
  });

  test('respects a holder that lives on another machine', async () => {
    const folder = temporaryFolder();
    const lock = join(folder, 'setup.lock');
    const other = JSON.stringify({ pid: DEAD_PID, host: 'elsewhere' });
    writeFileSync(lock, other);
    const events: string[] = [];
    const mine = withSetupLock(
      lock,
      async () => events.push('mine'),
      (holder) => {
        events.push(`wait for ${holder}`);
        const longAgo = new Date(Date.now() - 120_000);
        utimesSync(lock, longAgo, longAgo);
      },
    );
    await mine;
    expect(events).toEqual([`wait for ${other}`, 'mine']);
  });
});
