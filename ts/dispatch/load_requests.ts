import path from 'node:path';
import type { DatasetConfig, RunConfig } from '../config/schema.js';
import type { CriticPlan, ModelPlan, StagePlan } from '../plan/types.js';
import type { OperationArgs } from '../wire/protocol.gen.js';

/** The folder that a stage of this run exports its student to. */
export type StudentFolder = (stage: string) => string;

type WireModel = OperationArgs<'load_role'>['model'];

/** How a model is computed, wherever its weights are. */
const wireSettings = (model: ModelPlan) => ({
  seed: model.seed,
  dtype: model.dtype,
  trust_remote_code: model.trust_remote_code,
  ...(model.compute_dtype === null ? {} : { compute_dtype: model.compute_dtype }),
  ...(model.attention === null ? {} : { attention: model.attention }),
});

/** A model whose weights or shape are at `source`. */
export const wireModelAt = (source: string, model: ModelPlan): WireModel => ({
  source,
  init: model.init,
  ...wireSettings(model),
  ...(model.layers === null ? {} : { layers: model.layers }),
  ...(model.arch === null ? {} : { arch: model.arch }),
});

/** Where the worker finds the weights: outside, or the student that an earlier stage of this run exported. */
export const wireModel = (model: ModelPlan, studentOf: StudentFolder): WireModel =>
  wireModelAt(
    model.origin.kind === 'source' ? model.origin.source : path.resolve(studentOf(model.origin.stage)),
    model,
  );

export function wireDataset({
  limit,
  long_prompts,
  template_options,
  ...dataset
}: DatasetConfig): OperationArgs<'register_data'>['source'] {
  return {
    ...dataset,
    ...(limit === null ? {} : { limit }),
    ...(long_prompts === 'cut' ? {} : { long_prompts }),
    ...(template_options === undefined || Object.keys(template_options).length === 0
      ? {}
      : { template_options: JSON.stringify(template_options) }),
  };
}

/** What draws a role's responses, where it draws any and it is not left to the worker. */
function wireEngine({ engine, parts }: StagePlan, role: 'student' | 'teacher') {
  const draws = role === 'student' || parts.some(({ from }) => from === role);
  return draws && engine !== 'auto' ? { engine } : {};
}

/** The student that a stage exported to `folder`, frozen, computed and drawn from as in the stage itself. */
export function exportedStudent(stage: StagePlan, folder: string): OperationArgs<'load_role'> {
  return {
    role: 'student',
    // Whole and of its own shape, whatever the stage began with.
    model: { source: path.resolve(folder), init: 'pretrained', ...wireSettings(stage.student) },
    gradient_checkpointing: false,
    ...wireEngine(stage, 'student'),
  };
}

/** The student's adapters, where the stage trains them instead of the weights. */
export function wireAdapters({
  training: { lora },
  adapterSeeds,
}: Pick<StagePlan, 'training' | 'adapterSeeds'>): Pick<OperationArgs<'load_role'>, 'lora'> {
  return lora === null ? {} : { lora: { ...lora, seed: adapterSeeds.weights } };
}

/** The student as its stage trains it. */
export const wireStudent = (stage: StagePlan, studentOf: StudentFolder): OperationArgs<'load_role'> => ({
  role: 'student',
  model: wireModel(stage.student, studentOf),
  optimizer: stage.training.optimizer,
  gradient_checkpointing: stage.training.gradient_checkpointing,
  ...wireAdapters(stage),
  ...wireEngine(stage, 'student'),
});

export function wireTeacher(
  stage: StagePlan,
  { offload_teacher }: Pick<RunConfig['worker'], 'offload_teacher'>,
  studentOf: StudentFolder,
): OperationArgs<'load_role'> | null {
  if (stage.teacher === null) return null;
  return {
    role: 'teacher',
    model: wireModel(stage.teacher, studentOf),
    gradient_checkpointing: false,
    ...(offload_teacher ? { offload: true } : {}),
    ...wireEngine(stage, 'teacher'),
  };
}

/** What is off by default is not sent. */
export function wireCritic(critic: CriticPlan): OperationArgs<'load_critic'>['spec'] {
  const { head, form, features, hidden_size, bound, bound_value, seed } = critic;
  const { rank, spectral_norm, gradient_penalty, gradient_penalty_target, target_decay } = critic;
  return {
    ...{ head, features, hidden_size, bound, bound_value, seed },
    ...(form === undefined ? {} : { form }),
    ...((head === 'bilinear' || head === 'policy') && rank > 0 ? { rank } : {}),
    ...(spectral_norm ? { spectral_norm } : {}),
    ...(gradient_penalty > 0 ? { gradient_penalty, gradient_penalty_target } : {}),
    ...(target_decay === null ? {} : { target_decay }),
  };
}
