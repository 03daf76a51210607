import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { showPath } from '../../config/files.js';
import { type ResolvedConfig, resolveConfig } from '../../config/resolve.js';
import type { StagePlan } from '../../plan/types.js';
import { RunError } from '../errors.js';
import { openRunFolder, type RunFolder } from '../folder/run_folder.js';
import {
  type Checkpoint,
  checkpointOf,
  passedOver,
  readableCheckpoints,
  readCheckpoint,
  requireConfig,
} from './checkpoints.js';
import { findStage, isFinished, notYet, studentOf } from './find_stage.js';
import { isDamage } from './restore.js';

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

function finishedStep(file: string): number {
  try {
    return doneSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).step;
  } catch (cause) {
    throw new RunError('manifest_invalid', `${showPath(file)} does not describe a finished stage`, { cause });
  }
}

/** The best evaluated checkpoint of an unfinished stage, or else its newest; damaged ones are passed over. */
function bestOf(checkpoints: string, note: (message: string) => void): Checkpoint | null {
  const [newest] = readableCheckpoints(checkpoints, note);
  const best = newest?.controller.best ?? null;
  if (newest === undefined || best === null) return newest ?? null;
  const folder = checkpointOf(checkpoints, best.step);
  try {
    return readCheckpoint(folder);
  } catch (error) {
    if (!isDamage(error)) throw error;
    note(passedOver(folder, error));
    return newest;
  }
}

function ofRun(
  folder: string,
  wanted: string | undefined,
  form: ExportForm,
  note: (message: string) => void,
): ExportTarget {
  const { run, resolved } = openRun(folder);
  const stage = findStage(run, resolved, wanted);
  const { done, checkpoints } = run.stage(stage.name);
  if (!isFinished(run, stage)) {
    const checkpoint = bestOf(checkpoints, note);
    if (checkpoint === null)
      throw notYet(
        `stage ${stage.name} of ${showPath(run.path)} has neither student nor whole checkpoint`,
        run,
      );
    return { run, resolved, stage, step: checkpoint.manifest.step, checkpoint };
  }
  const step = finishedStep(done);
  if (form === 'merged') studentOf(run, stage);
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
 * @param note hears of checkpoints that are damaged, and passed over for others.
 * @throws RunError `run_not_found`, `model_not_found`, `checkpoint_invalid`, `manifest_invalid`; `config_changed` where
 * the checkpoint was written with another configuration.
 */
export function findExport(
  target: string,
  stage: string | undefined,
  form: ExportForm,
  note: (message: string) => void,
): ExportTarget {
  const found = isCheckpoint(target) ? ofCheckpoint(target, stage) : ofRun(target, stage, form, note);
  if (form === 'adapter' && found.stage.training.lora === null)
    throw new RunError('model_not_found', `stage ${found.stage.name} trains all weights, not adapters`, {
      hint: 'export it with: --form merged',
    });
  if (found.checkpoint !== null) requireConfig(found.checkpoint, found.resolved.hash);
  return found;
}
