import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../../common/atomic_file.js';
import { packageRoot, showPath } from '../../config/files.js';
import type { ResolvedConfig } from '../../config/resolve.js';
import type { WandbConfig } from '../../config/schema.js';
import type { RunEvent } from '../../metrics/events.js';
import { Tracking } from '../../metrics/tracking.js';
import { type LineProcess, type LineProcessOptions, startLineProcess } from '../../worker/line_process.js';
import { logTail } from '../../worker/log_tail.js';
import { exitInWords } from '../../worker/spawn.js';
import type { RunFolder } from '../folder/run_folder.js';

/** Passes a run's events on to a tracking service. Nothing that happens to it touches the run. */
export interface Tracker {
  readonly hear: (event: RunEvent) => void;
  /** @param done whether all stages are done; a run that is not may go on under the same id. */
  readonly close: (done: boolean) => Promise<void>;
}

export const NO_TRACKER: Tracker = { hear: () => {}, close: async () => {} };

export interface TrackerOptions {
  /** Python with the package of the service. */
  readonly python: string;
  /** For notes to people. */
  readonly emit: (event: RunEvent) => void;
  /** By default the operating system's. */
  readonly start?: (options: LineProcessOptions) => Promise<LineProcess>;
}

/** The rest of an upload may take so long once the run is done. */
const UPLOAD_MS = 60_000;

const trackingFileSchema = z.strictObject({ wandb: z.strictObject({ id: z.string().min(1) }) });

/** The id under which the service knows the run, the same after a resume. */
function runId(file: string, note: (message: string) => void): string {
  try {
    if (existsSync(file)) return trackingFileSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).wandb.id;
  } catch {
    note(`${showPath(file)} names no run: what follows goes to a new one`);
  }
  const id = randomBytes(8).toString('hex');
  writeJsonAtomic(file, { wandb: { id } });
  return id;
}

const begin = (wandb: WandbConfig, folder: RunFolder, { config, hash }: ResolvedConfig, id: string) => ({
  kind: 'begin',
  ...wandb,
  name: path.basename(folder.path),
  id,
  folder: folder.path,
  config: { ...config, config_hash: hash },
});

/**
 * Starts what the configuration asks for under `tracking`. The service's own client is a Python package: a process of
 * its own gets the messages, a JSON line each.
 */
export async function openTracker(
  folder: RunFolder,
  resolved: ResolvedConfig,
  { python, emit, start = startLineProcess }: TrackerOptions,
): Promise<Tracker> {
  const { wandb } = resolved.config.tracking;
  if (wandb === null) return NO_TRACKER;
  const note = (message: string) => emit({ kind: 'note', message: `W&B: ${message}` });
  const beginning = begin(wandb, folder, resolved, runId(folder.tracking, note));
  const writer = await start({
    command: [python, '-m', 'py_worker.metrics.wandb_writer'],
    packageRoot: packageRoot(),
    logFile: folder.trackingLog,
  });
  let given_up = false;
  void writer.exited.then((exit) => {
    if (exit.exitCode === 0 || given_up) return;
    const last = logTail(folder.trackingLog).split('\n').at(-1) ?? '';
    note(
      `its writer ended (${exitInWords(exit)}), the run goes on without: ${last} (${showPath(folder.trackingLog)})`,
    );
  });
  const tracking = new Tracking();
  const write = (message: unknown) => writer.write(JSON.stringify(message));
  write(beginning);
  return {
    hear: (event) => tracking.messagesOf(event).forEach(write),
    close: async (done) => {
      if (done) write({ kind: 'end' });
      const ended = await writer.close(UPLOAD_MS);
      const files = path.join(showPath(folder.path), 'wandb');
      if (!ended) {
        given_up = true;
        note(
          `the upload takes longer than ${UPLOAD_MS / 1000} s; the rest, with: "${showPath(python)}" -m wandb sync "${files}"/run-*`,
        );
      } else if (done && wandb.mode === 'offline')
        note(`upload it with: "${showPath(python)}" -m wandb sync "${files}"/offline-run-*`);
    },
  };
}
