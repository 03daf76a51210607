import { existsSync } from 'node:fs';
import { showPath } from '../../config/files.js';
import type { ResolvedConfig } from '../../config/resolve.js';
import { planRun } from '../../plan/run.js';
import type { StagePlan } from '../../plan/types.js';
import { RunError } from '../errors.js';
import type { RunFolder } from '../folder/run_folder.js';
import { listCheckpoints } from './checkpoints.js';

/** Whether its student is in the run's folder. */
export const isFinished = (run: RunFolder, { name }: Pick<StagePlan, 'name'>): boolean =>
  existsSync(run.stage(name).done);

/** The error that what is wanted of a run will be there once it has gone on. */
export function notYet(message: string, run: RunFolder): RunError {
  return new RunError('model_not_found', message, {
    hint: `continue the run with: ammd resume ${showPath(run.path)}`,
  });
}

/**
 * The folder of a finished stage's student.
 *
 * @throws RunError `model_not_found` where it has been deleted.
 */
export function studentOf(run: RunFolder, { name }: Pick<StagePlan, 'name'>): string {
  const { student } = run.stage(name);
  if (existsSync(student)) return student;
  throw new RunError('model_not_found', `stage ${name} of ${showPath(run.path)} has its student no more`, {
    hint: 'a sweep with `students: best` keeps that of the best trial alone; train it again from its config.yaml',
  });
}

/**
 * A stage by its name; by default the last finished one, or else the last with a checkpoint.
 *
 * @throws RunError `model_not_found` where there is none.
 */
export function findStage(run: RunFolder, resolved: ResolvedConfig, wanted: string | undefined): StagePlan {
  const { stages } = planRun(resolved);
  const named = stages.find(({ name }) => name === wanted);
  if (named !== undefined) return named;
  if (wanted !== undefined)
    throw new RunError('model_not_found', `${showPath(run.path)} has no stage ${wanted}`, {
      hint: `its stages: ${stages.map(({ name }) => name).join(', ')}`,
    });
  const found =
    stages.findLast((stage) => isFinished(run, stage)) ??
    stages.findLast(({ name }) => listCheckpoints(run.stage(name).checkpoints).length > 0);
  if (found === undefined)
    throw notYet(`no stage of ${showPath(run.path)} has a student or a checkpoint yet`, run);
  return found;
}
