import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { writeFileAtomic } from '../common/atomic_file.js';
import { discardFolder } from '../common/make_folder.js';
import { showPath } from '../config/files.js';
import { configToYaml } from '../config/resolve.js';
import { SWEEP_FILES } from '../metrics/sweep_rows.js';
import { makeRunFolder } from '../run/folder/run_folder.js';
import { SweepError } from './errors.js';
import { type ResolvedSweep, readResolved } from './resolve.js';

/** Where everything of a sweep lies. */
export class SweepFolder {
  readonly path: string;

  constructor(folder: string) {
    this.path = path.resolve(folder);
  }

  /** The sweep over `run.yaml`. */
  get config(): string {
    return path.join(this.path, 'sweep.yaml');
  }
  /** The run that is varied, nothing left open. */
  get run(): string {
    return path.join(this.path, 'run.yaml');
  }
  /** Written last: with it the folder is whole. */
  get hash(): string {
    return path.join(this.path, 'sweep.sha256');
  }
  get lock(): string {
    return path.join(this.path, 'lock');
  }
  /** Journal of the search. */
  get study(): string {
    return path.join(this.path, 'study.jsonl');
  }
  get studyLog(): string {
    return path.join(this.path, 'study.log');
  }
  get trials(): string {
    return path.join(this.path, SWEEP_FILES.trials);
  }
  get summary(): string {
    return path.join(this.path, SWEEP_FILES.summary);
  }
  get best(): string {
    return path.join(this.path, SWEEP_FILES.best);
  }
  /** Run folders of trained stages, by their hashes. */
  get stages(): string {
    return path.join(this.path, 'stages');
  }
  /** Logs of workers. */
  get logs(): string {
    return path.join(this.path, 'logs');
  }

  holdsSweep(): boolean {
    return existsSync(this.config) && existsSync(this.hash);
  }

  /** A path as rows have it. */
  relative(inner: string): string {
    return path.relative(this.path, inner);
  }
}

/** The sweep as its folder keeps it: over the run beside it, with `set` in that already. */
export function writeConfig(folder: SweepFolder, { config }: ResolvedSweep): void {
  writeFileAtomic(folder.config, stringify({ ...config, run: './run.yaml', set: {} }, { lineWidth: 0 }));
}

/**
 * Makes the folder of a new sweep: `out` where given, else `runs/NAME-YYYYMMDD-HHMMSS` (UTC).
 *
 * @throws SweepError `sweep_exists`, RunError `run_exists` when `out` is a file or not empty.
 */
export function makeSweepFolder(resolved: ResolvedSweep, out: string | undefined, now: Date): SweepFolder {
  if (out !== undefined && new SweepFolder(out).holdsSweep())
    throw new SweepError('sweep_exists', `${out} holds a sweep`, {
      hint: `continue it with: ammd sweep ${out}; or give another --out`,
    });
  const folder = new SweepFolder(makeRunFolder(resolved.config.name, out, now).path);
  try {
    writeFileAtomic(folder.run, configToYaml(resolved.base));
    writeConfig(folder, resolved);
    writeFileAtomic(folder.hash, `${resolved.hash}\n`);
  } catch (error) {
    discardFolder(folder.path); // It could be neither continued nor begun anew.
    throw error;
  }
  return folder;
}

/** Whether a reference is a folder, and so a sweep that was begun. */
export const isFolder = (reference: string): boolean =>
  statSync(reference, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** @throws SweepError `sweep_not_found` when there is none in it. */
export function openSweepFolder(reference: string): SweepFolder {
  const folder = new SweepFolder(reference);
  if (folder.holdsSweep()) return folder;
  const found = readdirSync(folder.path).includes('config.yaml') ? ', but a run' : '';
  throw new SweepError('sweep_not_found', `${showPath(folder.path)} holds no sweep${found}`, {
    hint: 'give a sweep configuration, or the folder that `ammd sweep` printed',
  });
}

/**
 * The sweep of a folder.
 *
 * @param trials in place of how many there were to be
 * @throws SweepError `sweep_changed` when its files search something else than it began with.
 */
export function resolveFolder(folder: SweepFolder, trials?: number): ResolvedSweep {
  const more = trials === undefined ? [] : [`search.trials=${trials}`];
  const resolved = readResolved(folder.config, more);
  if (resolved.hash === readFileSync(folder.hash, 'utf8').trim()) return resolved;
  throw new SweepError(
    'sweep_changed',
    `${showPath(folder.config)} or run.yaml beside it searches something else than the sweep began with`,
    { hint: `put back what it was, or start another sweep with: ammd sweep ${showPath(folder.config)}` },
  );
}
