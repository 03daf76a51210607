import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { WorkerConfig } from '../../config/schema.js';
import { WorkerFailure } from '../../wire/errors.js';
import { openSession, type Session, type SessionOptions } from './session.js';

/**
 * Calls `use` with a fresh worker and a scratch folder; both are gone afterwards, whatever happens. Only when the
 * worker failed the folder stays, with its log.
 */
export async function withScratchWorker<Result>(
  settings: WorkerConfig,
  use: (session: Session, scratch: string) => Promise<Result>,
  options: SessionOptions = {},
): Promise<Result> {
  const scratch = mkdtempSync(path.join(tmpdir(), 'ammd-'));
  let failed = false;
  try {
    const session = await openSession(settings, path.join(scratch, 'worker.log'), options);
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
