import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { writeFileAtomic } from '../common/atomic_file.js';
import { AmmdError } from '../common/errors.js';
import { configToYaml, type ResolvedConfig, resolveConfig } from '../config/resolve.js';
import type { RunEvent } from '../metrics/events.js';
import { planRun } from '../plan/run.js';
import type { RunPlan } from '../plan/types.js';
import { WorkerFailure } from '../wire/errors.js';
import { RunError } from './errors.js';
import { acquireLock } from './lock.js';
import { newManifest, type RunManifest, readManifest, withStage, writeManifest } from './manifest.js';
import { makeRunFolder, openRunFolder, type RunFolder } from './run_folder.js';
import { openSession, type Session, type SessionOptions } from './session.js';
import { runStage } from './stage.js';

export interface RunOptions extends SessionOptions {
  readonly emit: (event: RunEvent) => void;
  /** Aborting stops the run after the running step, with a checkpoint. */
  readonly signal?: AbortSignal;
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
 * @throws RunError, or what the worker failed with. A run that fails before its first stage has loaded leaves no folder.
 */
export async function startRun(
  resolved: ResolvedConfig,
  out: string | undefined,
  options: RunOptions,
): Promise<RunFolder> {
  const folder = makeRunFolder(resolved.config.name, out, new Date());
  const release = acquireLock(folder.lock);
  try {
    writeFileAtomic(folder.config, configToYaml(resolved.config));
    writeFileAtomic(folder.configHash, `${resolved.hash}\n`);
    await runStages({ folder, resolved, plan: planRun(resolved), options });
  } catch (error) {
    if (!existsSync(folder.manifest)) rmSync(folder.path, { recursive: true, force: true });
    throw error;
  } finally {
    release();
  }
  return folder;
}

/**
 * Continues a run after its last durable checkpoint; stages that are done are not run again.
 *
 * @throws RunError `run_not_found`, `run_locked`, or `run_finished`.
 */
export async function resumeRun(runFolder: string, options: RunOptions): Promise<RunFolder> {
  const folder = openRunFolder(runFolder);
  const resolved = resolveConfig(folder.config);
  const plan = planRun(resolved);
  if (plan.stages.every((stage) => existsSync(folder.stage(stage.name).done)) && existsSync(folder.report))
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
  const session = await openSession(run.resolved.config.worker, folder.workerLog, {
    ...options,
    resumeHint: `ammd resume ${shownPath(folder)}`,
  });
  try {
    await runOpenStages(run, session);
  } finally {
    await session.close();
  }
  await options.report(folder);
  const seconds = (performance.now() - started) / 1000;
  options.emit({ kind: 'run_finished', folder: folder.path, report: folder.report, seconds });
}

async function runOpenStages({ folder, resolved, plan, options }: Run, session: Session): Promise<void> {
  let manifest: RunManifest = existsSync(folder.manifest)
    ? readManifest(folder.manifest, new Date())
    : newManifest(plan, session.version, session.identity, new Date());
  for (const stage of plan.stages) {
    if (existsSync(folder.stage(stage.name).done)) {
      options.emit({ kind: 'stage_finished', stage: stage.name, seconds: 0 });
      continue;
    }
    try {
      await runStage(
        {
          client: session.client,
          config: resolved.config,
          configHash: resolved.hash,
          run: folder,
          emit: options.emit,
          now: () => performance.now(),
          signal: options.signal,
          onLoaded: (loaded) => {
            manifest = withStage(manifest, stage, loaded);
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

/** As a person would type it from here. */
function shownPath(folder: RunFolder): string {
  const short = path.relative(process.cwd(), folder.path);
  return short === '' || short.startsWith('..') ? folder.path : short;
}

/** Says which stage failed and how to go on; what can be gone on from keeps its folder. */
function stageFailure(cause: unknown, stage: string, folder: RunFolder): unknown {
  if (!(cause instanceof AmmdError) || cause instanceof RunError) return cause;
  const begun = existsSync(folder.manifest);
  return new RunError('stage_failed', `stage ${stage}: ${cause.message}`, {
    cause,
    ...(begun
      ? {
          hint: `${cause instanceof WorkerFailure ? 'go on' : 'when that is mended, go on'} with: ammd resume ${shownPath(folder)}`,
        }
      : {}),
  });
}
