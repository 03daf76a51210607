import {
  closeSync,
  constants,
  copyFileSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { systemCodeOf } from '../common/errors.js';
import { RunError } from './errors.js';

const ownerSchema = z.object({ pid: z.int(), host: z.string(), since: z.string() });
export type Owner = z.infer<typeof ownerSchema>;

/** A lock without an owner after this time was left by a process killed between creating and writing the file. */
const WRITING_MS = 5000;

function readOwner(file: string): Owner | undefined {
  try {
    return ownerSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCodeOf(error) === 'EPERM'; // it lives and belongs to somebody else
  }
}

function isStale(file: string, owner: Owner | undefined): boolean {
  if (owner !== undefined) return owner.host === hostname() && !isAlive(owner.pid);
  const written = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return Date.now() - written > WRITING_MS;
}

/** False when there is a lock already. */
function tryLock(file: string): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'wx');
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false;
    throw error;
  }
  const owner: Owner = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  writeSync(descriptor, JSON.stringify(owner));
  closeSync(descriptor);
  return true;
}

/**
 * Removes a stale lock, and only that one: another process may have seen the same, removed it, and put its own there
 * meanwhile. So the file is first moved aside, which one process alone can do, and comes back if it is another's.
 *
 * @param owner as it was read when it was found stale
 */
export function removeStale(file: string, owner: Owner | undefined): void {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return;
    throw error;
  }
  try {
    if (!isDeepStrictEqual(readOwner(aside), owner)) copyFileSync(aside, file, constants.COPYFILE_EXCL);
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error; // a third process has locked it
  } finally {
    rmSync(aside, { force: true });
  }
}

/**
 * Takes the lock of a run folder, so that one run has one controller. A lock whose process is gone (same host)
 * is taken over.
 *
 * @returns a function that gives the lock back.
 * @throws RunError `run_locked` when another process holds it.
 */
export function acquireLock(file: string): () => void {
  for (let attempt = 0; !tryLock(file); attempt += 1) {
    const owner = readOwner(file);
    if (attempt > 0 || !isStale(file, owner)) throw lockedError(file, owner);
    removeStale(file, owner);
  }
  return () => rmSync(file, { force: true });
}

function lockedError(file: string, owner: Owner | undefined): RunError {
  const { pid = '?', host = '?', since = '?' } = owner ?? {};
  return new RunError('run_locked', `the run is in use by process ${pid} on ${host} since ${since}`, {
    hint: `wait for it to end, or stop it; if it is gone for good, delete ${file}`,
  });
}
