import path from 'node:path';
import type { WorkerClient } from '../../dispatch/client.js';
import type { RunEvent } from '../../metrics/events.js';
import { WireError } from '../../wire/errors.js';
import { RunError } from '../errors.js';
import {
  type Checkpoint,
  listCheckpoints,
  passedOver,
  readableCheckpoints,
  requireConfig,
} from './checkpoints.js';

export interface Restored {
  readonly checkpoint: Checkpoint;
  /** Version of the student as restored. */
  readonly policyVersion: number;
}

export interface RestoreContext {
  readonly client: WorkerClient;
  /** Hash of the configuration that the run goes on with. */
  readonly configHash: string;
  readonly emit: (event: RunEvent) => void;
}

/**
 * Puts a checkpoint's state into the loaded models and critics, and returns the student's version.
 *
 * @throws WireError `checkpoint_error` when a file is missing, changed or does not fit; nothing is changed then.
 */
export async function restore(client: WorkerClient, checkpoint: Checkpoint): Promise<number> {
  const { result } = await client.call('restore', {
    dir: path.resolve(checkpoint.folder),
    files: checkpoint.manifest.files,
  });
  return result.policy_version;
}

/** Whether a checkpoint is at fault, and not the worker. */
export function isDamage(error: unknown): error is RunError | WireError {
  if (error instanceof WireError) return error.code === 'checkpoint_error';
  return error instanceof RunError && error.code === 'checkpoint_invalid';
}

/**
 * Puts the newest usable checkpoint back; one that does not verify is passed over, and said so. Null when there is
 * none.
 *
 * @throws RunError `config_changed` when a checkpoint was written with another configuration.
 */
export async function restoreNewest(
  { client, configHash, emit }: RestoreContext,
  checkpoints: string,
): Promise<Restored | null> {
  const note = (message: string) => emit({ kind: 'note', message });
  for (const checkpoint of readableCheckpoints(checkpoints, note)) {
    requireConfig(checkpoint, configHash);
    try {
      return { checkpoint, policyVersion: await restore(client, checkpoint) };
    } catch (error) {
      if (!isDamage(error)) throw error;
      // The worker refuses everything after an error until the next epoch.
      client.openEpoch();
      note(passedOver(checkpoint.folder, error));
    }
  }
  if (listCheckpoints(checkpoints).length > 0)
    note(`no checkpoint in ${checkpoints} can be used; the stage starts anew`);
  return null;
}
