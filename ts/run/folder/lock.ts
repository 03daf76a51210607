import {
  closeSync,
  linkSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { systemCodeOf, withPath } from '../../common/errors.js';
import { RunError } from '../errors.js';

const ownerSchema = z.object({ pid: z.int(), host: z.string(), since: z.string() });
type Owner = z.infer<typeof ownerSchema>;

/** A lock without an owner after this time was left by a process killed between creating and writing the file. */
const WRITING_MS = 5000;

/** Locks that this process holds. A container that is started again has the process id of the one that was killed. */
const held = new Set<string>();

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

/** The same for one file, by whichever path it is reached. */
const placeOf = (file: string) => path.join(realpathSync(path.dirname(file)), path.basename(file));

/** Which file it is: a number may be given again once its file is gone, but not at the same time. */
type FileMark = { readonly ino: number; readonly mtimeMs: number };

/** @returns undefined when there is no such file */
export function markOf(file: string): FileMark | undefined {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats && { ino: stats.ino, mtimeMs: stats.mtimeMs };
}

function isStale(place: string, seen: FileMark, owner: Owner | undefined): boolean {
  if (owner !== undefined) {
    const lives = owner.pid === process.pid ? held.has(place) : isAlive(owner.pid);
    return owner.host === hostname() && !lives;
  }
  return Date.now() - seen.mtimeMs > WRITING_MS;
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
  try {
    writeSync(descriptor, JSON.stringify(owner));
  } catch (error) {
    rmSync(file, { force: true }); // A full disk: nobody holds it.
    throw withPath(error, file);
  } finally {
    closeSync(descriptor);
  }
  return true;
}

/**
 * Removes a stale lock, and only that one: another process may have seen the same, removed it, and put its own there
 * meanwhile. So the file is first moved aside, which one process alone can do, and comes back if it is another's. (A
 * third process that locks between these two calls is not kept out.)
 *
 * @param seen the file as it was when it was found stale
 */
export function removeStale(file: string, seen: FileMark): void {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return;
    throw error;
  }
  try {
    if (!isDeepStrictEqual(markOf(aside), seen)) linkSync(aside, file); // the same file: its owner may be writing it
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error;
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
  const place = placeOf(file);
  for (let attempt = 0; !tryLock(file); attempt += 1) {
    const seen = markOf(file);
    const owner = readOwner(file);
    if (attempt > 0 || (seen && !isStale(place, seen, owner))) throw lockedError(file, owner);
    if (seen) removeStale(file, seen);
  }
  held.add(place);
  return () => {
    rmSync(file, { force: true });
    held.delete(place);
  };
}

function lockedError(file: string, owner: Owner | undefined): RunError {
  const { pid = '?', host = '?', since = '?' } = owner ?? {};
  return new RunError('run_locked', `the run is in use by process ${pid} on ${host} since ${since}`, {
    hint: `wait for it to end, or stop it; if it is gone for good, delete ${file}`,
  });
}
