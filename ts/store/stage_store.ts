import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { allOf } from '../common/all_of.js';
import { ConfigError } from '../config/errors.js';
import { configHash, resolveConfig } from '../config/resolve.js';
import type { RunEvent } from '../metrics/events.js';
import { acquireLock } from '../run/folder/lock.js';
import { RunFolder } from '../run/folder/run_folder.js';
import { resumeRun, startRun } from '../run/run.js';
import type { WorkerPool } from '../run/workers/pool.js';
import type { Session } from '../run/workers/session.js';
import type { StoredStage } from './stored_stage.js';

export interface StoreRunOptions {
  readonly pool: WorkerPool;
  /** Hears what the stage's own run says; of parents that are trained on the way see `emitOf`. */
  readonly emit: (event: RunEvent) => void;
  /** Hears what a parent's run says; by default nobody does. */
  readonly emitOf?: (parent: StoredStage) => (event: RunEvent) => void;
  /** Aborting stops what is running after its running step, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/** Hex digits of the hash that name a folder: enough for 2^32 stages. */
const NAME_DIGITS = 16;

/** What a begun stage lacks of models and data, since its store or they were moved; null where all is there. */
function missingIn(folder: RunFolder): string | null {
  try {
    resolveConfig(folder.config);
    return null;
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

/**
 * A folder of trained stages, each a run folder named by its hash. What is there and done is never trained again; what
 * was begun is continued. What is done has its student and its metrics, and no checkpoint but of adapters: those of a large
 * model, with optimizer and critics, are some five times the student, and a table has a hundred of them.
 */
export class StageStore {
  readonly path: string;
  /** Stages that are being trained: whoever asks for one meanwhile waits for the same run. */
  readonly #running = new Map<string, Promise<RunFolder>>();

  constructor(folder: string) {
    this.path = path.resolve(folder);
  }

  folder(stage: StoredStage): RunFolder {
    return new RunFolder(path.join(this.path, stage.hash.slice(0, NAME_DIGITS)));
  }

  isDone(stage: StoredStage): boolean {
    return existsSync(this.folder(stage).stage(stage.name).done);
  }

  /** Where the trained student lies. */
  student(stage: StoredStage): string {
    return this.folder(stage).stage(stage.name).student;
  }

  /**
   * Trains a stage that is not done, and before it those of its parents that are not.
   *
   * @throws what the run failed with, RunError `interrupted` when the signal stopped it.
   */
  run(stage: StoredStage, options: StoreRunOptions): Promise<RunFolder> {
    if (this.isDone(stage)) {
      this.dropCheckpoints(stage); // Where a kill came between the end and this.
      return Promise.resolve(this.folder(stage));
    }
    const running = this.#running.get(stage.hash);
    if (running !== undefined) return running;
    const run = this.#train(stage, options).finally(() => this.#running.delete(stage.hash));
    this.#running.set(stage.hash, run);
    return run;
  }

  /**
   * Deletes the checkpoints of a stage that is done or given up, but for those that hold adapters: `ammd export` takes them
   * from there, and they are small.
   */
  dropCheckpoints(stage: StoredStage): void {
    if (stage.trainsAdapters) return;
    try {
      rmSync(this.folder(stage).stage(stage.name).checkpoints, { recursive: true, force: true });
    } catch {
      // Space is all that it costs: a file held open on a network, or a store that others own.
    }
  }

  async #train(stage: StoredStage, options: StoreRunOptions): Promise<RunFolder> {
    const { emitOf = () => () => {}, pool, signal } = options;
    await allOf(stage.parents.map((parent) => this.run(parent, { ...options, emit: emitOf(parent) })));
    const folder = await pool.use((session) => this.#trainOn(session, stage, options), signal);
    this.dropCheckpoints(stage);
    return folder;
  }

  #trainOn(session: Session, stage: StoredStage, { emit, signal }: StoreRunOptions): Promise<RunFolder> {
    const folder = this.folder(stage);
    const options = { session, emit, report: () => {}, ...(signal === undefined ? {} : { signal }) };
    if (folder.holdsRun()) {
      const missing = missingIn(folder);
      if (missing === null) return resumeRun(folder.path, options);
      acquireLock(folder.lock)(); // Or it is another process's.
      emit({
        kind: 'note',
        message: `${folder.path} cannot be gone on with and is trained anew: ${missing}`,
      });
    }
    rmSync(folder.path, { recursive: true, force: true }); // Also what a killed process had not finished making.
    const config = stage.configure((parent) => this.student(parent));
    const resolved = { config, hash: configHash(config), files: [], warnings: [] };
    return startRun(resolved, folder.path, options);
  }
}
