import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { systemCodeOf } from '../../common/errors.js';
import { makeFolder } from '../../common/make_folder.js';
import { RUN_FILES, STAGE_FILES } from '../../metrics/run_files.js';
import { RunError } from '../errors.js';

/** Where everything of a run lies. Paths only: nothing is read or written here but folders made. */
export class RunFolder {
  readonly path: string;

  constructor(folder: string) {
    this.path = path.resolve(folder);
  }

  get config(): string {
    return path.join(this.path, RUN_FILES.config);
  }
  get configHash(): string {
    return path.join(this.path, RUN_FILES.configHash);
  }
  get manifest(): string {
    return path.join(this.path, RUN_FILES.manifest);
  }
  get lock(): string {
    return path.join(this.path, 'lock');
  }
  get workerLog(): string {
    return path.join(this.path, 'worker.log');
  }
  get tracking(): string {
    return path.join(this.path, 'tracking.json');
  }
  get trackingLog(): string {
    return path.join(this.path, 'tracking.log');
  }
  get report(): string {
    return path.join(this.path, RUN_FILES.report);
  }
  get results(): string {
    return path.join(this.path, RUN_FILES.results);
  }
  get table(): string {
    return path.join(this.path, RUN_FILES.table);
  }

  /**
   * Whether there is a run to go on with. The hash is written last: with it the configuration is whole. The manifest
   * comes with the first stage; a run without it, whose worker could not start, begins anew.
   */
  holdsRun(): boolean {
    return existsSync(this.config) && existsSync(this.configHash);
  }

  stage(name: string): StageFolder {
    return new StageFolder(path.join(this.path, RUN_FILES.stages, name));
  }
}

/** The part of a run folder that belongs to one stage. */
export class StageFolder {
  constructor(readonly path: string) {}

  get metrics(): string {
    return path.join(this.path, STAGE_FILES.metrics);
  }
  get evaluations(): string {
    return path.join(this.path, STAGE_FILES.evaluations);
  }
  get samples(): string {
    return path.join(this.path, STAGE_FILES.samples);
  }
  get tensorboard(): string {
    return path.join(this.path, 'tensorboard');
  }
  get checkpoints(): string {
    return path.join(this.path, 'checkpoints');
  }
  get student(): string {
    return path.join(this.path, 'student');
  }
  get order(): string {
    return path.join(this.path, 'order.json');
  }
  get done(): string {
    return path.join(this.path, STAGE_FILES.done);
  }

  make(): this {
    makeFolder(this.checkpoints);
    return this;
  }
}

function timestamp(now: Date): string {
  const digits = now.toISOString().replaceAll(/[-:]/g, '');
  return `${digits.slice(0, 8)}-${digits.slice(9, 15)}`;
}

function makeGivenFolder(out: string): RunFolder {
  const run = new RunFolder(out);
  const found = statSync(out, { throwIfNoEntry: false });
  if (found !== undefined && !found.isDirectory())
    throw new RunError('run_exists', `${out} is a file`, { hint: 'give a folder as --out' });
  if (found !== undefined && readdirSync(out).length > 0)
    throw new RunError('run_exists', `${out} exists and is not empty`, {
      hint: `give another --out${run.holdsRun() ? `, or continue that run with: ammd resume ${out}` : ''}`,
    });
  makeFolder(out);
  return run;
}

/**
 * Makes the folder of a new run: `out` where given, else `runs/NAME-YYYYMMDD-HHMMSS` (UTC).
 *
 * @throws RunError `run_exists` when `out` is a file, or a folder that is not empty.
 */
export function makeRunFolder(name: string, out: string | undefined, now: Date): RunFolder {
  return out === undefined ? new RunFolder(makeTimedFolder('runs', name, now)) : makeGivenFolder(out);
}

/** Makes the folder `parent/NAME-YYYYMMDD-HHMMSS` (UTC), with a number behind it where there is one. */
export function makeTimedFolder(parent: string, name: string, now: Date): string {
  const base = path.join(parent, `${name}-${timestamp(now)}`);
  makeFolder(parent);
  for (let attempt = 1; ; attempt += 1) {
    const candidate = attempt === 1 ? base : `${base}-${attempt}`;
    try {
      mkdirSync(candidate);
      return candidate;
    } catch (error) {
      if (systemCodeOf(error) !== 'EEXIST') throw error;
    }
  }
}

/**
 * Opens the folder of an existing run.
 *
 * @throws RunError `run_not_found` when there is no run in it.
 */
export function openRunFolder(folder: string): RunFolder {
  const run = new RunFolder(folder);
  if (run.holdsRun()) return run;
  const missing = existsSync(folder)
    ? 'holds no run (config.yaml and config.sha256 are missing)'
    : 'does not exist';
  throw new RunError('run_not_found', `${folder} ${missing}`, {
    hint: 'give the folder that `ammd train` printed, for example runs/quickstart-20260101-120000',
  });
}
