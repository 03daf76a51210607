import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';
import { RunError } from './errors.js';

const ownerSchema = z.object({ pid: z.int(), host: z.string(), since: z.string() });
type Owner = z.infer<typeof ownerSchema>;

function readOwner(file: string): Owner | undefined {
  try {
    return ownerSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    // Killed between creating and writing the file: no process that lives can be the owner.
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function isStale(owner: Owner | undefined): boolean {
  return owner === undefined || (owner.host === hostname() && !isAlive(owner.pid));
}

/**
 * Takes the lock of a run folder, so that one run has one controller. A lock whose process is gone (same host)
 * is taken over.
 *
 * @returns a function that gives the lock back.
 * @throws RunError `run_locked` when another process holds it.
 */
export function acquireLock(file: string): () => void {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const descriptor = openSync(file, 'wx');
      writeSync(
        descriptor,
        JSON.stringify({ pid: process.pid, host: hostname(), since: new Date().toISOString() }),
      );
      closeSync(descriptor);
      return () => rmSync(file, { force: true });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const owner = readOwner(file);
    if (attempt > 0 || !isStale(owner))
      throw new RunError(
        'run_locked',
        `the run is in use by process ${owner?.pid ?? '?'} on ${owner?.host ?? '?'} since ${owner?.since ?? '?'}`,
        { hint: `wait for it to end, or stop it; if it is gone for good, delete ${file}` },
      );
    rmSync(file, { force: true });
  }
}
