import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { showPath } from '../config/files.js';
import { type ResolvedConfig, resolveConfig } from '../config/resolve.js';
import { planRun } from '../plan/run.js';
import type { StagePlan } from '../plan/types.js';
import { type Checkpoint, checkpointOf, listCheckpoints, readCheckpoint } from './checkpoints.js';
import { RunError } from './errors.js';
import { openRunFolder, type RunFolder } from './run_folder.js';

/** `adapter`: the low-rank adapters alone, in PEFT's format. */
export type ExportForm = 'merged' | 'adapter';

const doneSchema = z.object({ step: z.int().min(0), files: z.array(z.object({ name: z.string() })) });

/** The student of a stage: as the finished stage left it, or as a checkpoint has it. */
export interface ExportTarget {
  readonly run: RunFolder;
  readonly resolved: ResolvedConfig;
  readonly stage: StagePlan;
  /** Step after which the student is taken. */
  readonly step: number;
  /** Null: the finished student's folder holds what is wanted. */
  readonly checkpoint: Checkpoint | null;
}

function openRun(folder: string): { readonly run: RunFolder; readonly resolved: ResolvedConfig } {
  const run = openRunFolder(folder);
  return { run, resolved: resolveConfig(run.config) };
}

function notFound(message: string, run: RunFolder): RunError {
  return new RunError('model_not_found', message, {
    hint: `continue the run with: ammd resume ${showPath(run.path)}`,
  });
}

/** A stage by its name; by default the last finished one, or else the last with a checkpoint. */
function findStage(run: RunFolder, resolved: ResolvedConfig, wanted: string | undefined): StagePlan {
  const { stages } = planRun(resolved);
  const named = stages.find(({ name }) => name === wanted);
  if (named !== undefined) return named;
  if (wanted !== undefined)
    throw new RunError('model_not_found', `${showPath(run.path)} has no stage ${wanted}`, {
      hint: `its stages: ${stages.map(({ name }) => name).join(', ')}`,
    });
  const found =
    stages.findLast(({ name }) => existsSync(run.stage(name).done)) ??
    stages.findLast(({ name }) => listCheckpoints(run.stage(name).checkpoints).length > 0);
  if (found === undefined)
    throw notFound(`no stage of ${showPath(run.path)} has a student or a checkpoint yet`, run);
  return found;
}

function finishedStep(file: string): number {
  try {
    return doneSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).step;
  } catch (cause) {
    throw new RunError('manifest_invalid', `${showPath(file)} does not describe a finished stage`, { cause });
  }
}

/** The best evaluated checkpoint of an unfinished stage, or else its newest. */
function bestOf(checkpoints: string): Checkpoint | null {
  const [newest] = listCheckpoints(checkpoints).map(readCheckpoint);
  if (newest === undefined) return null;
  const { best } = newest.controller;
  const folder = best === null ? newest.folder : checkpointOf(checkpoints, best.step);
  return existsSync(folder) ? readCheckpoint(folder) : newest;
}

function ofRun(folder: string, wanted: string | undefined, form: ExportForm): ExportTarget {
  const { run, resolved } = openRun(folder);
  const stage = findStage(run, resolved, wanted);
  const { done, checkpoints } = run.stage(stage.name);
  if (!existsSync(done)) {
    const checkpoint = bestOf(checkpoints);
    if (checkpoint === null)
      throw notFound(`stage ${stage.name} of ${showPath(run.path)} has neither student nor checkpoint`, run);
    return { run, resolved, stage, step: checkpoint.manifest.step, checkpoint };
  }
  const step = finishedStep(done);
  const checkpoint = form === 'merged' ? null : readCheckpoint(checkpointOf(checkpoints, step));
  return { run, resolved, stage, step, checkpoint };
}

function ofCheckpoint(folder: string, wanted: string | undefined): ExportTarget {
  const { run, resolved } = openRun(path.resolve(folder, '../../../..'));
  const checkpoint = readCheckpoint(folder);
  const { step, stage: name } = checkpoint.manifest;
  if (wanted !== undefined && wanted !== name)
    throw new RunError('model_not_found', `${folder} is a checkpoint of stage ${name}, not of ${wanted}`, {
      hint: 'leave --stage out',
    });
  return { run, resolved, stage: findStage(run, resolved, name), step, checkpoint };
}

const isCheckpoint = (folder: string): boolean =>
  /^step-\d{8,}$/.test(path.basename(path.resolve(folder))) &&
  path.basename(path.resolve(folder, '..')) === 'checkpoints';

/**
 * What a run folder, or a checkpoint's folder in it, stands for.
 *
 * @throws RunError `run_not_found`, `model_not_found`, `checkpoint_invalid`, `manifest_invalid`; `config_changed` where
 * the checkpoint was written with another configuration.
 */
export function findExport(target: string, stage: string | undefined, form: ExportForm): ExportTarget {
  const found = isCheckpoint(target) ? ofCheckpoint(target, stage) : ofRun(target, stage, form);
  if (form === 'adapter' && found.stage.training.lora === null)
    throw new RunError('model_not_found', `stage ${found.stage.name} trains all weights, not adapters`, {
      hint: 'export it with: --form merged',
    });
  if (found.checkpoint !== null && found.checkpoint.manifest.config_hash !== found.resolved.hash)
    throw new RunError(
      'config_changed',
      `${showPath(found.checkpoint.folder)} was written with another configuration`,
      { hint: "put the run's config.yaml back as it was" },
    );
  return found;
}
