import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { writeFileAtomic } from '../common/atomic_file.js';
import { discardFolder } from '../common/make_folder.js';
import { showPath } from '../config/files.js';
import { configToYaml, type ResolvedConfig, resolveConfig } from '../config/resolve.js';
import type { RunEvent } from '../metrics/events.js';
import { planRun } from '../plan/run.js';
import type { RunPlan } from '../plan/types.js';
import { WorkerFailure } from '../wire/errors.js';
import { modelPairs, requirePair } from './checks/model_pairs.js';
import { requirePackages } from './checks/packages.js';
import { stageFailure } from './ending/stage_failure.js';
import { wasStopped } from './ending/stage_stop.js';
import { limitTime } from './ending/wall_time.js';
import { RunError } from './errors.js';
import { acquireLock } from './folder/lock.js';
import { admit, newManifest, type RunManifest, readManifest, writeManifest } from './folder/manifest.js';
import { makeRunFolder, openRunFolder, type RunFolder } from './folder/run_folder.js';
import { NO_TRACKER, openTracker } from './rows/tracker.js';
import { listCheckpoints } from './saved/checkpoints.js';
import { isFinished } from './saved/find_stage.js';
import { runStage } from './stage/stage.js';
import { configureWorker } from './workers/configure_worker.js';
import { openSession, type Session, type SessionOptions } from './workers/session.js';
import { unusedGpu } from './workers/unused_gpu.js';

export interface RunOptions extends SessionOptions {
  /** A worker that is up already, and stays up; its device and threads go before the configuration's. By default a new one. */
  readonly session?: Session;
  readonly emit: (event: RunEvent) => void;
  /** Aborting stops the run after the running step, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Longest wall time of this call in hours; by default the configuration's `max_hours`. */
  readonly maxHours?: number | undefined;
  /** Called when all stages are done; writes the page that `run_finished` names. */
  readonly report: (folder: RunFolder) => void | Promise<void>;
}

interface Run {
  readonly folder: RunFolder;
  readonly resolved: ResolvedConfig;
  readonly plan: RunPlan;
  readonly options: RunOptions;
}

/**
 * Starts a new run of a resolved configuration.
 *
 * @param out folder to make; by default `runs/NAME-TIME`.
 * @throws RunError, or what the worker failed with. A run whose input is found wrong before its first stage has loaded
 * leaves no folder.
 */
export async function startRun(
  resolved: ResolvedConfig,
  out: string | undefined,
  options: RunOptions,
): Promise<RunFolder> {
  const folder = makeRunFolder(resolved.config.name, out, new Date());
  const release = lockNew(folder);
  try {
    writeFileAtomic(folder.config, configToYaml(resolved.config));
    writeFileAtomic(folder.configHash, `${resolved.hash}\n`);
    await runStages({ folder, resolved, plan: planRun(resolved), options });
  } catch (error) {
    // Bad input leaves nothing behind; what a worker died of is in its log, which stays, as does a run that was stopped.
    if (!existsSync(folder.manifest) && !isWorkerFailure(error) && !wasStopped(error))
      discardFolder(folder.path);
    throw error;
  } finally {
    release();
  }
  return folder;
}

/** Locks the folder of a new run, which goes again where that fails, unless it is another process's by now. */
function lockNew(folder: RunFolder): () => void {
  try {
    return acquireLock(folder.lock);
  } catch (error) {
    if (readdirSync(folder.path).length === 0) discardFolder(folder.path);
    throw error;
  }
}

/**
 * Continues a run after its last durable checkpoint; stages that are done are not run again.
 *
 * @throws RunError `run_not_found`, `run_locked`, `run_finished`, or `config_changed`.
 */
export async function resumeRun(runFolder: string, options: RunOptions): Promise<RunFolder> {
  const folder = openRunFolder(runFolder);
  const resolved = resolveConfig(folder.config);
  if (readFileSync(folder.configHash, 'utf8').trim() !== resolved.hash)
    throw new RunError(
      'config_changed',
      `${showPath(folder.config)} trains something else than the run began with`,
      {
        hint: `put back what it trained, or start another run with: ammd train ${showPath(folder.config)}`,
      },
    );
  const plan = planRun(resolved);
  if (isDone(folder, plan) && existsSync(folder.report))
    throw new RunError('run_finished', `${runFolder} is finished`, {
      hint: `its report is ${folder.report}; start another run with: ammd train ${folder.config}`,
    });
  const release = acquireLock(folder.lock);
  try {
    await runStages({ folder, resolved, plan, options });
  } finally {
    release();
  }
  return folder;
}

const isDone = (folder: RunFolder, plan: RunPlan) => plan.stages.every((stage) => isFinished(folder, stage));

const isWorkerFailure = (error: unknown): boolean =>
  error instanceof WorkerFailure || (error instanceof RunError && error.cause instanceof WorkerFailure);

async function runStages(run: Run): Promise<void> {
  const { folder, plan, options } = run;
  const started = performance.now();
  const { name } = plan;
  options.emit({
    kind: 'run_started',
    name,
    folder: folder.path,
    stages: plan.stages.map((stage) => ({
      name: stage.name,
      method: stage.method,
      steps: stage.training.steps === null ? 0 : stage.adversary.warmup_steps + stage.training.steps,
    })),
  });
  for (const warning of run.resolved.warnings) options.emit({ kind: 'note', message: warning });
  if (!isDone(folder, plan))
    await withinTime(run, (timed) =>
      withSession(timed, async (tracked, session) => {
        await requirePairs(tracked, session);
        await runOpenStages(tracked, session);
      }),
    );
  await options.report(folder);
  const seconds = (performance.now() - started) / 1000;
  options.emit({ kind: 'run_finished', folder: folder.path, report: folder.report, seconds });
}

/** Calls `use` with the run, whose signal is now also aborted when its time is over. */
async function withinTime(run: Run, use: (run: Run) => Promise<void>): Promise<void> {
  const { options, resolved } = run;
  const { signal, release } = limitTime(
    options.maxHours ?? resolved.config.max_hours,
    options.signal,
    ({ hours }) => {
      const message = `${hours} h are over: stopping after this step, with a checkpoint`;
      options.emit({ kind: 'note', message });
    },
  );
  try {
    await use({ ...run, options: { ...options, ...(signal === undefined ? {} : { signal }) } });
  } finally {
    release();
  }
}

/** A worker of the run's own, or the one it is lent: with its settings, on the device and threads that one has. */
async function takeSession({
  folder,
  resolved,
  options,
}: Run): Promise<{ session: Session; end: () => Promise<void> }> {
  const { worker } = resolved.config;
  if (options.session === undefined) {
    const resumeHint = `ammd resume ${showPath(folder.path)}`;
    const session = await openSession(worker, folder.workerLog, { ...options, resumeHint });
    return { session, end: () => session.close() };
  }
  const { session } = options;
  const { device, threads } = session.settings;
  session.client.openEpoch(); // What the run before it may have failed with is that one's affair.
  await configureWorker(session.client, { ...worker, device, threads });
  return { session, end: async () => {} };
}

/** Calls `use` with a worker, and with the run, whose events now also go to what tracks it. */
async function withSession(run: Run, use: (run: Run, session: Session) => Promise<void>): Promise<void> {
  const { folder, resolved, options } = run;
  const { session, end } = await takeSession(run);
  let tracker = NO_TRACKER;
  let done = false;
  const emit = (event: RunEvent) => {
    options.emit(event);
    tracker.hear(event);
  };
  try {
    requirePackages(resolved.config, session.identity.packages);
    const unused = resolved.config.worker.device === 'auto' ? unusedGpu(session.identity.devices) : null;
    if (unused !== null && options.session === undefined) options.emit({ kind: 'note', message: unused });
    tracker = await openTracker(folder, resolved, {
      python: session.python,
      emit: options.emit,
    });
    await use({ ...run, options: { ...options, emit } }, session);
    done = true;
  } finally {
    await end();
    await tracker.close(done);
  }
}

/**
 * Compares the models of later stages; the first loads its own at once. A run that goes on did so when it began, and what
 * its stages came from need not be there any more.
 */
async function requirePairs({ folder, plan, options }: Run, { client }: Session): Promise<void> {
  const [first] = plan.stages;
  if (existsSync(folder.manifest)) return;
  for (const pair of modelPairs(plan).filter(({ stage }) => stage !== first?.name)) {
    if (options.signal?.aborted) return;
    await requirePair(client, pair).catch((error: unknown) => {
      throw stageFailure(error, pair.stage, folder);
    });
  }
}

async function runOpenStages({ folder, resolved, plan, options }: Run, session: Session): Promise<void> {
  let manifest: RunManifest = existsSync(folder.manifest)
    ? readManifest(folder.manifest, new Date())
    : newManifest(plan, session.version, session.identity, new Date());
  const told = new Set<string>();
  for (const stage of plan.stages) {
    if (isFinished(folder, stage)) {
      options.emit({ kind: 'stage_finished', stage: stage.name, seconds: 0 });
      continue;
    }
    try {
      await runStage(
        {
          client: session.client,
          held: session.held,
          config: resolved.config,
          configHash: resolved.hash,
          run: folder,
          emit: options.emit,
          now: () => performance.now(),
          signal: options.signal,
          told,
          onLoaded: (loaded) => {
            const goesOn = listCheckpoints(folder.stage(stage.name).checkpoints).length > 0;
            const admitted = admit(manifest, stage, loaded, { data: resolved.config.data, goesOn });
            for (const message of admitted.notes)
              options.emit({ kind: 'note', message: `stage ${stage.name}: ${message}` });
            manifest = admitted.manifest;
            writeManifest(folder.manifest, manifest);
          },
        },
        stage,
      );
    } catch (error) {
      throw stageFailure(error, stage.name, folder);
    }
  }
}
