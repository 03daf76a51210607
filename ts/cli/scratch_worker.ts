import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { WorkerConfig } from '../config/schema.js';
import { run as runSchema } from '../config/schema.js';
import { openSession, type Session } from '../run/session.js';
import { WorkerFailure } from '../wire/errors.js';
import { parseOptions } from './options.js';

/** The worker's settings as a configuration would have them, with defaults where nothing is given. */
export function workerSettings(given: { readonly device?: string; readonly threads?: number }): WorkerConfig {
  return parseOptions(runSchema.shape.worker, given);
}

/**
 * Calls `use` with a fresh worker and a scratch folder; both are gone afterwards, whatever happens. Only when the
 * worker failed the folder stays, with its log.
 */
export async function withScratchWorker<Result>(
  settings: WorkerConfig,
  use: (session: Session, scratch: string) => Promise<Result>,
): Promise<Result> {
  const scratch = mkdtempSync(path.join(tmpdir(), 'ammd-'));
  let failed = false;
  try {
    const session = await openSession(settings, path.join(scratch, 'worker.log'));
    try {
      return await use(session, scratch);
    } finally {
      await session.close();
    }
  } catch (error) {
    failed = error instanceof WorkerFailure;
    throw error;
  } finally {
    if (!failed) rmSync(scratch, { recursive: true, force: true });
  }
}
