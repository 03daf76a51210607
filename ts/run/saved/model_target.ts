import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { showPath } from '../../config/files.js';
import { resolveConfig } from '../../config/resolve.js';
import type { DatasetConfig, ModelConfig, RunConfig } from '../../config/schema.js';
import { exportedStudent } from '../../dispatch/load_requests.js';
import type { StagePlan } from '../../plan/types.js';
import type { OperationArgs } from '../../wire/protocol.gen.js';
import { RunError } from '../errors.js';
import { RunFolder } from '../folder/run_folder.js';
import { findStage, isFinished, notYet, studentOf } from './find_stage.js';

/** A model to evaluate or to generate with: the student of a run's stage, or any model by its source. */
export interface ModelTarget {
  readonly source: string;
  /** For rows and messages: the stage, or the source itself. */
  readonly name: string;
  /** Where the target is a run: its datasets, templates, ways of evaluation and of computing apply. */
  readonly run: { readonly config: RunConfig; readonly stage: StagePlan } | null;
}

function ofRun(run: RunFolder, wanted: string | undefined): ModelTarget {
  const resolved = resolveConfig(run.config);
  const stage = findStage(run, resolved, wanted);
  if (!isFinished(run, stage))
    throw notYet(`stage ${stage.name} of ${showPath(run.path)} is not finished`, run);
  const { config } = resolved;
  return { source: studentOf(run, stage), name: stage.name, run: { config, stage } };
}

/**
 * `target` is a run folder (with `stage`, or its last finished one), a model folder, a hub name, gguf:… or package:….
 *
 * @throws RunError `model_not_found`: a file, a folder with neither a run nor a model, or a stage that is not done.
 */
export function findModel(target: string, stage: string | undefined): ModelTarget {
  const run = new RunFolder(target);
  if (run.holdsRun()) return ofRun(run, stage);
  if (stage !== undefined)
    throw new RunError('model_not_found', `${target} is no run, so it has no stage ${stage}`, {
      hint: 'leave --stage out, or give a run folder',
    });
  const found = statSync(target, { throwIfNoEntry: false });
  if (found === undefined) return { source: target, name: target, run: null };
  if (!found.isDirectory())
    throw new RunError('model_not_found', `${target} is a file`, {
      hint: target.endsWith('.gguf') ? `a GGUF file is given as gguf:${target}` : 'give a folder',
    });
  if (!['config.json', 'adapter_config.json'].some((name) => existsSync(path.join(target, name))))
    throw new RunError('model_not_found', `${target} holds neither a run nor a model`, {
      hint: 'a run folder has config.yaml and config.sha256, a model folder config.json or adapter_config.json',
    });
  return { source: path.resolve(target), name: target, run: null };
}

/** What a run's student was trained on: other prompts are best written as those were. */
export const trainingData = ({ run }: Pick<ModelTarget, 'run'>): DatasetConfig | undefined =>
  run?.config.data[run.stage.data.train];

/**
 * The target as the worker loads it: a run's student in the precision of its stage, unless `dtype` says otherwise. What
 * computes attention and draws is left to the worker, which may have another device than the stage had.
 */
export function targetRole(
  { source, run }: ModelTarget,
  dtype: ModelConfig['dtype'] | undefined,
): OperationArgs<'load_role'> {
  if (run === null)
    return {
      role: 'student',
      model: { source, init: 'pretrained', seed: 0, dtype: dtype ?? 'float32', trust_remote_code: false },
      gradient_checkpointing: false,
    };
  const { student } = run.stage;
  const computed = dtype === undefined ? student : { ...student, dtype, compute_dtype: null };
  const stage: StagePlan = { ...run.stage, engine: 'auto', student: { ...computed, attention: null } };
  return exportedStudent(stage, source);
}
