import path from 'node:path';
import { makeFolder } from '../common/make_folder.js';
import type { TableConfig } from '../config/schema.js';
import { journalRows } from '../metrics/journal.js';
import { stepRowSchema } from '../metrics/rows.js';
import { type TableFile, writeTable } from '../metrics/table_file.js';
import { acquireLock } from '../run/folder/lock.js';
import { WorkerPool } from '../run/workers/pool.js';
import { type PlannedTable, planStages } from './dry_run.js';
import type { ReproductionEvent } from './events.js';
import type { ReproductionFolder } from './folder.js';
import { type Choices, type Job, seedsOf, tableId, tableJobs, tuningJobs } from './plan.js';
import type { Profile } from './profile.js';
import { protocolOf } from './protocol_text.js';
import { requirePairs } from './require_pairs.js';
import { type FinishedJob, runJobs } from './run_jobs.js';
import { type TableInputs, tableFile } from './table.js';
import { chooseValues, chosenBy, type Tuned } from './tuning.js';

export interface PlanOptions {
  readonly folder: ReproductionFolder;
  /** Training seeds, in place of the profile's. */
  readonly seeds?: number | undefined;
  /** What stands for a file in a hash. */
  readonly fingerprint: (source: string) => string;
}

export interface ReproduceOptions extends PlanOptions {
  readonly devices: readonly string[];
  /** Stages at a time. */
  readonly jobs: number;
  readonly emit: (event: ReproductionEvent) => void;
  /** Aborting stops what is running after its step, with a checkpoint. */
  readonly signal?: AbortSignal;
  readonly python?: string;
}

/** Everything a table needs, as far as it is known before settings are chosen: rows that are tuned stand as written. */
export function planTable(profile: Profile, table: TableConfig, options: PlanOptions): PlannedTable {
  const { folder, fingerprint, seeds } = options;
  const jobs = [
    ...tuningJobs(profile, table, fingerprint),
    ...tableJobs(profile, table, seedsOf(profile, seeds), new Map(), fingerprint),
  ];
  return planStages(profile, jobs, folder);
}

export interface ReproducedTable {
  /** Where `table.json` lies. */
  readonly folder: string;
  readonly file: TableFile;
}

/**
 * Trains, evaluates and compares everything a table needs, and writes `table.json` into its folder. What is done is not
 * repeated; what a killed process had begun is continued.
 *
 * @throws RunError `interrupted` or `run_locked`; ReproduceError when a stage failed or the folder is another's
 */
export async function reproduceTable(
  profile: Profile,
  name: string,
  table: TableConfig,
  options: ReproduceOptions,
): Promise<ReproducedTable> {
  const { folder, fingerprint, emit, signal } = options;
  folder.claim(profile.config.name);
  const release = acquireLock(folder.lock);
  const pool = new WorkerPool({
    worker: profile.run.worker,
    devices: options.devices,
    jobs: options.jobs,
    logs: folder.workers,
    ...(options.python === undefined ? {} : { python: options.python }),
  });
  try {
    const context = { stages: folder.stages, evaluations: folder.evaluations, pool, emit, signal };
    const seeds = seedsOf(profile, options.seeds);
    const untuned = [
      ...tuningJobs(profile, table, fingerprint),
      ...tableJobs(profile, table, seeds, new Map(), fingerprint),
    ];
    if (untuned.some(({ stored }) => stored.parents.some((parent) => !folder.stages.isDone(parent))))
      await requirePairs(profile, table, pool, signal);
    // The teacher and the start, evaluated too: a test set that cannot be scored shows before all else is trained.
    const fixed = tableJobs(profile, table, [], new Map(), fingerprint);
    if (fixed.length > 0) await runJobs(fixed, ['training', 'evaluation'], context);
    const tried = await runJobs(
      tuningJobs(profile, table, fingerprint),
      ['tuning', 'tuning evaluation'],
      context,
    );
    const tuned = chosen(tried, profile, table, emit);
    const jobs = tableJobs(profile, table, seeds, tuned.choices, fingerprint);
    const finished = await runJobs(jobs, ['training', 'evaluation'], context);
    const made = folder.table(tableId(profile, name, options.seeds));
    const file = tableFile(inputsOf(profile, { name, table, seeds, tuned, finished }, folder, made));
    makeFolder(made);
    writeTable(made, file);
    return { folder: made, file };
  } finally {
    await pool.close();
    release();
  }
}

function chosen(
  tried: readonly FinishedJob[],
  { config }: Profile,
  table: TableConfig,
  emit: (event: ReproductionEvent) => void,
): Tuned {
  const results = tried.map(({ job, evaluated }) => ({ job, evaluations: evaluated.rows }));
  const tuned = chooseValues(results, chosenBy(config, table));
  for (const [row, value] of tuned.choices)
    emit({ kind: 'chosen', row, value, figure: tuned.figures.get(row) ?? Number.NaN });
  return tuned;
}

interface Made {
  readonly name: string;
  readonly table: TableConfig;
  readonly seeds: readonly number[];
  readonly tuned: { readonly choices: Choices; readonly figures: ReadonlyMap<string, number> };
  readonly finished: readonly FinishedJob[];
}

function inputsOf(profile: Profile, made: Made, folder: ReproductionFolder, out: string): TableInputs {
  const { finished, ...rest } = made;
  const results = finished.map(({ job, evaluated }) => ({
    row: job.row,
    seed: job.seed,
    evaluations: evaluated.rows,
    ...spentOn(job, folder),
    place: placeOf(job, folder, out),
  }));
  const protocol = protocolOf(profile, made.table, made.seeds);
  return { profile: profile.config, ...rest, results, protocol };
}

/** Tokens of responses trained on, and seconds of training. */
function spentOn(
  job: Job,
  folder: ReproductionFolder,
): { readonly tokens: number; readonly seconds: number } {
  const { metrics } = folder.stages.folder(job.stored).stage(job.stored.name);
  const spent = { tokens: 0, seconds: 0 };
  for (const row of journalRows(metrics, stepRowSchema)) {
    spent.tokens += row.tokens.response;
    spent.seconds += row.seconds.total;
  }
  return spent;
}

/** The student's run folder as the table's folder `out` sees it. */
function placeOf(job: Job, folder: ReproductionFolder, out: string) {
  const run = folder.stages.folder(job.stored).path;
  return { row: job.row, seed: job.seed, folder: path.relative(out, run), stage: job.stored.name };
}
