import { showPath } from '../config/files.js';
import type { SweepSummary, TrialRow } from '../metrics/sweep_rows.js';
import { RunError } from '../run/errors.js';
import { acquireLock } from '../run/folder/lock.js';
import { WorkerPool, type WorkerPoolOptions } from '../run/workers/pool.js';
import { workerPython } from '../run/workers/python.js';
import { contentFingerprint } from '../store/fingerprint.js';
import { StageStore } from '../store/stage_store.js';
import { storedStage } from '../store/stored_stage.js';
import { SweepError } from './errors.js';
import type { SweepEvent } from './events.js';
import { dropOtherStudents } from './other_students.js';
import { summaryOf, writeOutcome } from './outcome.js';
import type { ResolvedSweep } from './resolve.js';
import { runTrials, type TrialsContext } from './run_trials.js';
import { trialsWanted } from './space.js';
import { openStudy, type Study } from './study.js';
import {
  makeSweepFolder,
  openSweepFolder,
  resolveFolder,
  type SweepFolder,
  writeConfig,
} from './sweep_folder.js';
import { TrialLog } from './trial_log.js';

export interface SweepOptions {
  readonly emit: (event: SweepEvent) => void;
  /** Aborting stops the running trials with a checkpoint each; `resumeSweep` goes on with them. */
  readonly signal?: AbortSignal;
  /** Devices of the workers, shared out in turn; by default the one of the run's `worker.device`. */
  readonly devices?: readonly string[];
  /** Trials at a time, a worker each; by default one a device. */
  readonly jobs?: number;
  /** Python with the worker's packages and Optuna; by default that of the set-up. */
  readonly python?: string;
  /** What trains and what searches; others in tests. */
  readonly parts?: Partial<SweepParts>;
}

export interface SweepParts {
  readonly openStudy: (resolved: ResolvedSweep, folder: SweepFolder, python: string) => Promise<Study>;
  readonly openPool: (options: WorkerPoolOptions) => WorkerPool;
  readonly stages: (folder: string) => Pick<StageStore, 'folder' | 'run' | 'dropCheckpoints'>;
}

export interface SweepResult {
  readonly folder: SweepFolder;
  readonly summary: SweepSummary;
  /** The rows of all trials, in the order in which they finished. */
  readonly rows: readonly TrialRow[];
}

const PARTS: SweepParts = {
  openStudy,
  openPool: (options) => new WorkerPool(options),
  stages: (folder) => new StageStore(folder),
};

/**
 * Runs a sweep in a new folder.
 *
 * @param out folder to make; by default `runs/NAME-TIME`.
 * @throws RunError `interrupted`; SweepError `sweep_failed` when all of the first trials fail, `sweep_empty` when none
 * was completed; what the search or a worker failed with where no trial is to blame.
 */
export async function runSweep(
  resolved: ResolvedSweep,
  out: string | undefined,
  options: SweepOptions,
): Promise<SweepResult> {
  const folder = makeSweepFolder(resolved, out, new Date());
  return withLock(folder, () => {
    const own = resolveFolder(folder);
    for (const message of resolved.warnings) options.emit({ kind: 'note', message });
    return runLocked(folder, own, options);
  });
}

/**
 * Goes on with a sweep that was stopped or killed: trials that were running are run again under their numbers, after
 * their last checkpoints. One that is done is only summed up anew.
 *
 * @param trials in place of how many there were to be, to add some.
 * @throws SweepError `sweep_not_found`, `sweep_changed`, RunError `run_locked`; otherwise as `runSweep`.
 */
export async function resumeSweep(
  path: string,
  options: SweepOptions & { readonly trials?: number | undefined },
): Promise<SweepResult> {
  const folder = openSweepFolder(path);
  return withLock(folder, () => runLocked(folder, resolveFolder(folder, options.trials), options));
}

/** Calls `work` while no other process can work in the folder. */
async function withLock<Result>({ lock }: SweepFolder, work: () => Promise<Result>): Promise<Result> {
  const release = acquireLock(lock);
  try {
    return await work();
  } finally {
    release();
  }
}

function runLocked(
  folder: SweepFolder,
  resolved: ResolvedSweep,
  options: SweepOptions,
): Promise<SweepResult> {
  writeConfig(folder, resolved);
  return withSearch(folder, resolved, options, (search) => runToEnd(folder, resolved, options, search));
}

/** What a sweep asks, trains with and writes to while it runs. */
type Search = Pick<TrialsContext, 'study' | 'pool' | 'stages' | 'jobs' | 'log'>;

/** Opens all of that for `work`, and closes what was opened however it ends. */
async function withSearch(
  folder: SweepFolder,
  resolved: ResolvedSweep,
  options: SweepOptions,
  work: (search: Search) => Promise<SweepResult>,
): Promise<SweepResult> {
  const { python = workerPython() } = options;
  const parts = { ...PARTS, ...options.parts };
  const { worker } = resolved.base;
  const devices = options.devices ?? [worker.device];
  const jobs = options.jobs ?? devices.length;
  const log = TrialLog.open(folder.trials);
  let pool: WorkerPool | undefined;
  let study: Study | undefined;
  try {
    pool = parts.openPool({ worker, devices, jobs, logs: folder.logs, python });
    study = await parts.openStudy(resolved, folder, python);
    return await work({ pool, study, log, stages: parts.stages(folder.stages), jobs });
  } finally {
    log.close();
    await Promise.all([study?.close(), pool?.close()]);
  }
}

/** Runs the trials that are left, and sums up after each. */
async function runToEnd(
  folder: SweepFolder,
  resolved: ResolvedSweep,
  { emit, signal = new AbortController().signal }: SweepOptions,
  search: Search,
): Promise<SweepResult> {
  const started = performance.now();
  const { study, log } = search;
  const wanted = trialsWanted(resolved.config);
  checkFiles(folder, study, log.rows);
  const fingerprint = contentFingerprint();
  if (log.rows.length < wanted) checkContent(folder, resolved, log.rows, fingerprint);
  emit({
    kind: 'sweep_started',
    name: resolved.config.name,
    folder: folder.path,
    wanted: Math.max(wanted, log.rows.length),
    done: log.rows.length,
    objective: resolved.objective,
  });
  const summarise = async () => summaryOf(resolved, log.rows, await study.weigh());
  const sumUp = async () => {
    const summary = await summarise();
    writeOutcome(folder, resolved, summary);
    if (resolved.config.students === 'best') dropOtherStudents(folder, log.rows, summary);
  };
  await sumUp();
  await runTrials({ ...search, resolved, folder, fingerprint, emit, signal, sumUp });
  const summary = await summarise();
  const seconds = (performance.now() - started) / 1000;
  checkEnd(folder, summary, signal);
  emit({ kind: 'sweep_finished', folder: folder.path, best: summary.best, seconds });
  return { folder, summary, rows: log.rows };
}

/** The search's journal and the rows must be of the same trials: a row is written before the search is told. */
function checkFiles(folder: SweepFolder, study: Study, rows: readonly TrialRow[]): void {
  const written = new Set(rows.map(({ number }) => number));
  const known = new Set([...study.ended, ...study.running.map(({ number }) => number)]);
  const lost = study.ended.find((number) => !written.has(number));
  const unknown = rows.find(({ number }) => !known.has(number));
  if (lost === undefined && unknown === undefined) return;
  const what =
    lost === undefined
      ? `${showPath(folder.study)} lacks trial ${unknown?.number}`
      : `${showPath(folder.trials)} lacks trial ${lost}`;
  throw new SweepError('sweep_files', what, { hint: 'restore the file, or start another sweep' });
}

/** The sweep's hash names data and models by their paths; the last trial's names them by what was in them. */
function checkContent(
  folder: SweepFolder,
  { config, configureTrial }: ResolvedSweep,
  rows: readonly TrialRow[],
  fingerprint: (source: string) => string,
): void {
  const last = rows.findLast(({ hash }) => hash !== null);
  if (last === undefined) return;
  const { hash } = storedStage(configureTrial(last.parameters), config.stage, { fingerprint });
  if (hash === last.hash) return;
  const what = `data or models of ${showPath(folder.path)} have changed since trial ${last.number} was trained`;
  throw new SweepError('sweep_changed', what, { hint: 'put back what they were, or start another sweep' });
}

function checkEnd(folder: SweepFolder, { trials, best }: SweepSummary, signal: AbortSignal): void {
  const done = trials.complete + trials.pruned + trials.failed;
  if (signal.aborted && done < trials.wanted)
    throw new RunError('interrupted', `stopped after ${done} of ${trials.wanted} trials`, {
      hint: `continue with: ammd sweep ${showPath(folder.path)}`,
    });
  if (best === null)
    throw new SweepError('sweep_empty', `none of ${done} trials was completed`, {
      hint: `their reasons are in ${showPath(folder.trials)}`,
    });
}
