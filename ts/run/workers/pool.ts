import path from 'node:path';
import { AmmdError } from '../../common/errors.js';
import { makeFolder } from '../../common/make_folder.js';
import type { WorkerConfig } from '../../config/schema.js';
import { wasStopped } from '../ending/stage_stop.js';
import { RunError } from '../errors.js';
import { availableCores } from './cores.js';
import { openSession, type Session } from './session.js';

export interface WorkerPoolOptions {
  /** What workers are configured with, but for the device. */
  readonly worker: WorkerConfig;
  /** Shared out in turn; of `auto` each further worker takes the next GPU that the first one sees. */
  readonly devices: readonly string[];
  /** Workers at a time. */
  readonly jobs: number;
  /** Folder of the workers' logs. */
  readonly logs: string;
  readonly python?: string;
  /** Starts a worker; another one in tests. */
  readonly open?: typeof openSession;
}

/** A worker's share of the cores where it does not say how many: two that each take all of them run far slower. */
function shared(worker: WorkerConfig, jobs: number): WorkerConfig {
  if (worker.threads > 0 || jobs === 1) return worker;
  return { ...worker, threads: Math.max(1, Math.floor(availableCores() / jobs)) };
}

/** `cuda:0`, `cuda:1`, … of a worker that sees all there are. */
const gpusOf = ({ identity }: Session): readonly string[] =>
  identity.devices.flatMap((named) => /^cuda:\d+/.exec(named)?.[0] ?? []);

interface Slot {
  readonly index: number;
  readonly device: string;
  readonly log: string;
  session: Session | null;
}

/**
 * Warm workers, each used by one run at a time. They start when they are first needed; one whose run failed is ended,
 * since nobody knows what it still holds, and replaced when next needed.
 */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #free: Slot[];
  readonly #waiting: ((slot: Slot) => void)[] = [];
  readonly #slots: readonly Slot[];
  /** GPUs that the first worker sees; null before there is one. */
  #gpus: Promise<readonly string[]> | null = null;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    makeFolder(options.logs);
    this.#slots = Array.from({ length: options.jobs }, (_, index) => ({
      index,
      device: options.devices[index % options.devices.length] ?? 'auto',
      log: path.join(options.logs, `worker-${index + 1}.log`),
      session: null,
    }));
    this.#free = [...this.#slots];
  }

  get size(): number {
    return this.#slots.length;
  }

  /**
   * Waits for a free worker, calls `work` with it, and passes on what that gives or throws.
   *
   * @throws RunError `interrupted` when the signal was aborted meanwhile: no worker is started for it.
   */
  async use<Result>(work: (session: Session) => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const slot = await this.#take();
    try {
      if (signal?.aborted) throw new RunError('interrupted', 'stopped before it began');
      slot.session ??= await this.#open(slot);
      return await work(slot.session);
    } catch (error) {
      if (!wasStopped(error)) await this.#end(slot);
      throw error;
    } finally {
      this.#give(slot);
    }
  }

  /** Ends all workers; none may be in use. */
  async close(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => this.#end(slot)));
  }

  #take(): Promise<Slot> {
    const slot = this.#free.shift();
    return slot === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(slot);
  }

  #give(slot: Slot): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(slot);
    else next(slot);
  }

  async #open(slot: Slot): Promise<Session> {
    const opening = this.#start(slot);
    this.#gpus ??= opening.then(gpusOf, () => {
      this.#gpus = null; // The next worker that starts tells.
      return [];
    });
    const session = await opening;
    void session.client.failed.then(() => {
      if (slot.session === session) slot.session = null;
    });
    return session;
  }

  /** @throws RunError `worker_unusable`: it does not come up, or refuses what all work of the pool shares. */
  async #start(slot: Slot): Promise<Session> {
    const { worker, jobs, python, open = openSession } = this.#options;
    const device = await this.#deviceOf(slot);
    try {
      return await open(
        { ...shared(worker, jobs), device },
        slot.log,
        python === undefined ? {} : { python },
      );
    } catch (error) {
      if (!(error instanceof AmmdError)) throw error;
      const hint = error.hint === undefined ? {} : { hint: error.hint };
      throw new RunError('worker_unusable', `a worker on ${device}: ${error.message}`, {
        cause: error,
        ...hint,
      });
    }
  }

  async #deviceOf({ device, index }: Slot): Promise<string> {
    const gpus = device === 'auto' ? ((await this.#gpus) ?? []) : [];
    return gpus[index % gpus.length] ?? device;
  }

  async #end(slot: Slot): Promise<void> {
    const { session } = slot;
    slot.session = null;
    await session?.close();
  }
}
