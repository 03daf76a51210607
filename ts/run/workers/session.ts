import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../config/files.js';
import type { WorkerConfig } from '../../config/schema.js';
import type { MessageLogEntry, WorkerClient } from '../../dispatch/client.js';
import { Pipeline } from '../../dispatch/pipeline.js';
import { WireError } from '../../wire/errors.js';
import { shownGpus } from '../../worker/shown_gpus.js';
import { startWorker } from '../../worker/supervise.js';
import type { WorkerIdentity } from '../folder/manifest.js';
import { HeldTeacher } from '../loaded/held_teacher.js';
import { configureWorker } from './configure_worker.js';
import { workerPython } from './python.js';

export interface SessionOptions {
  /** Python with the worker's packages; by default `workerPython()`. */
  readonly python?: string;
  /** Hears of every request, reply and cancel. */
  readonly messageLog?: (entry: MessageLogEntry) => void;
  /** Shown by a worker that outlives its controller: how to go on. */
  readonly resumeHint?: string;
}

/** A configured worker and the way to talk to it. */
export interface Session {
  readonly client: WorkerClient;
  /** What it was configured with; the device by the worker's own name for it. */
  readonly settings: WorkerConfig;
  readonly held: HeldTeacher;
  /** The Python it runs in. */
  readonly python: string;
  readonly identity: WorkerIdentity;
  /** Version of this package. */
  readonly version: string;
  /** Lets the running operation finish and ends the process. */
  close(): Promise<void>;
}

export function ammdVersion(): string {
  const text = readFileSync(path.join(packageRoot(), 'package.json'), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

/** By the user's name for it: the worker has been shown at most this one. */
function requireGpu(device: string, seen: readonly string[]): void {
  if (!device.startsWith('cuda') || seen.some((name) => name.startsWith('cuda'))) return;
  throw new WireError('invalid_argument', `worker.device: ${device} is not there, or CUDA does not start`, {
    op: 'configure',
    hint: 'use cpu or auto, or a GPU that `ammd doctor` names',
  });
}

/** @throws WorkerFailure when the worker cannot be started, WireError when it refuses its settings. */
export async function openSession(
  settings: WorkerConfig,
  logFile: string,
  options: SessionOptions = {},
): Promise<Session> {
  const python = options.python ?? workerPython();
  const { environment, device, byUser } = shownGpus(settings.device);
  const worker = await startWorker({
    python,
    packageRoot: packageRoot(),
    logFile,
    transport: settings.transport,
    threads: settings.threads,
    environment: {
      ...environment,
      ...(options.resumeHint === undefined ? {} : { AMMD_RESUME_HINT: options.resumeHint }),
    },
  });
  const client = new Pipeline(
    worker.connection,
    options.messageLog === undefined ? {} : { log: options.messageLog },
  );
  try {
    const { packages, devices } = worker.hello;
    requireGpu(settings.device, devices);
    const configured = { ...settings, device };
    const used = await configureWorker(client, configured);
    return {
      client,
      settings: configured,
      held: new HeldTeacher(),
      python,
      identity: {
        packages,
        devices: devices.map(byUser),
        device: byUser(used.device),
        threads: used.threads,
      },
      version: ammdVersion(),
      close: () => worker.stop(),
    };
  } catch (error) {
    await worker.kill();
    throw error;
  }
}
