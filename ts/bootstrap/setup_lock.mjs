import {
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

// The holder touches the file every 2 s. 60 s without a touch means that it is gone, or stands on a machine that
// sleeps: long enough for a busy disk, short enough to wait for.
const TOUCH_MS = 2_000;
const STALE_MS = 60_000;
const POLL_MS = 300;

/**
 * Runs `task` while no other process runs one under the same lock; waits for the other to end. The lock of a
 * process that died is taken over.
 *
 * @template T
 * @param {string} path the lock file
 * @param {() => Promise<T>} task
 * @param {(holder: string) => void} onWait told once, if another set-up is running
 * @returns {Promise<T>}
 */
export async function withSetupLock(path, task, onWait) {
  mkdirSync(dirname(path), { recursive: true });
  const mine = JSON.stringify({ pid: process.pid, host: hostname(), at: Date.now() });
  for (let told = false; !acquire(path, mine); await sleep(POLL_MS)) {
    const holder = read(path);
    if (holder === undefined) continue;
    if (isStale(path, holder)) remove(path, holder);
    else {
      if (!told) onWait(holder);
      told = true;
    }
  }
  const touch = setInterval(() => {
    // Another process has taken it over, after this one was stopped for long, and may have given it back.
    if (read(path) === mine) utimesSync(path, new Date(), new Date());
  }, TOUCH_MS);
  try {
    return await task();
  } finally {
    clearInterval(touch);
    remove(path, mine);
  }
}

/** @param {string} path @param {string} mine */
function acquire(path, mine) {
  try {
    writeFileSync(path, mine, { flag: 'wx' });
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false;
    throw error;
  }
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * @param {string} path
 * @param {string} holder
 */
function isStale(path, holder) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat && Date.now() - stat.mtimeMs > STALE_MS) return true;
  try {
    const { pid, host } = JSON.parse(holder);
    return host === hostname() && !isAlive(pid);
  } catch {
    return false; // being written at this moment
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/**
 * Removes the lock of `holder` only: it is renamed first, and put back if by then it was somebody else's.
 *
 * @param {string} path
 * @param {string} holder
 */
function remove(path, holder) {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    if (read(aside) !== holder) linkSync(aside, path);
  } catch {
    // Another process was faster.
  }
  rmSync(aside, { force: true });
}
