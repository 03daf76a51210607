import path from 'node:path';
import type { DatasetConfig, RunConfig } from '../../config/schema.js';
import type { WorkerClient } from '../../dispatch/client.js';
import type { CriticPlan, ModelPlan, StagePlan } from '../../plan/types.js';
import type { OperationArgs, OperationResult } from '../../wire/protocol.gen.js';
import type { RunFolder } from '../folder/run_folder.js';
import { requireAnswers } from '../loaded/answers.js';
import { HeldTeacher } from '../loaded/held_teacher.js';
import type { LoadedRole, LoadedStage } from '../loaded/loaded_stage.js';

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
export const wireModel = (model: ModelPlan, run: RunFolder): WireModel =>
  wireModelAt(
    model.origin.kind === 'source'
      ? model.origin.source
      : path.resolve(run.stage(model.origin.stage).student),
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

/** Device, threads and budgets; the first call of a session. */
export async function configureWorker(
  client: WorkerClient,
  worker: RunConfig['worker'],
): Promise<OperationResult<'configure'>> {
  const { transport: _transport, offload_teacher: _offload, cache_dir, ...settings } = worker;
  const cache = path.resolve(cache_dir ?? path.join('.ammd', 'cache'));
  return (await client.call('configure', { ...settings, cache_dir: cache })).result;
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

function wireTeacher(
  stage: StagePlan,
  { worker }: RunConfig,
  run: RunFolder,
): OperationArgs<'load_role'> | null {
  if (stage.teacher === null) return null;
  return {
    role: 'teacher',
    model: wireModel(stage.teacher, run),
    gradient_checkpointing: false,
    ...(worker.offload_teacher ? { offload: true } : {}),
    ...wireEngine(stage, 'teacher'),
  };
}

/** Frees what the stage before held, but for a teacher that this stage has too, and loads the teacher otherwise. */
async function resetToTeacher(
  client: WorkerClient,
  wanted: OperationArgs<'load_role'> | null,
  held: HeldTeacher,
): Promise<LoadedRole | null> {
  const kept = held.find(wanted);
  held.forget();
  const [, loaded] = await Promise.all([
    client.call('reset', kept === null ? {} : { keep_teacher: true }),
    wanted === null || kept !== null ? null : client.call('load_role', wanted),
  ]);
  const teacher = kept ?? loaded?.result ?? null;
  if (wanted !== null && teacher !== null) held.hold(wanted, teacher);
  return teacher;
}

/** The student's adapters, where the stage trains them instead of the weights. */
export function wireAdapters({
  training: { lora },
  adapterSeeds,
}: Pick<StagePlan, 'training' | 'adapterSeeds'>): Pick<OperationArgs<'load_role'>, 'lora'> {
  return lora === null ? {} : { lora: { ...lora, seed: adapterSeeds.weights } };
}

function loadStudent(client: WorkerClient, stage: StagePlan, run: RunFolder) {
  return client.call('load_role', {
    role: 'student',
    model: wireModel(stage.student, run),
    optimizer: stage.training.optimizer,
    gradient_checkpointing: stage.training.gradient_checkpointing,
    ...wireAdapters(stage),
    ...wireEngine(stage, 'student'),
  });
}

function registerDatasets(
  client: WorkerClient,
  names: readonly string[],
  data: RunConfig['data'],
  signal: AbortSignal | undefined,
) {
  const options = signal === undefined ? {} : { signal };
  return names.map(async (name) => {
    const dataset = data[name];
    if (dataset === undefined) throw new Error(`the plan names dataset ${name}, the config does not`);
    const args = { dataset: name, source: wireDataset(dataset) };
    const { result } = await client.call('register_data', args, options);
    return [name, result] as const;
  });
}

/** What is off by default is not sent. */
function wireCritic(critic: CriticPlan): OperationArgs<'load_critic'>['spec'] {
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

function loadCritics(client: WorkerClient, { critics, adversary: { optimizer } }: StagePlan) {
  return critics.map(async (critic) => {
    const args = { critic: critic.name, spec: wireCritic(critic), optimizer };
    const { result } = await client.call('load_critic', args);
    return [critic.name, result.parameters] as const;
  });
}

/**
 * Frees what the stage before held and loads this stage's models, datasets and critics. The requests are sent at
 * once; the worker runs them in order: the teacher first, whose vocabulary the student's is checked against.
 *
 * @param held the teacher that the worker may have loaded already; by default it has none
 * @param signal stops the tokenization of datasets, which may take minutes
 * @throws RunError `answers_missing`
 */
export async function loadStage(
  client: WorkerClient,
  stage: StagePlan,
  config: RunConfig,
  run: RunFolder,
  held = new HeldTeacher(),
  signal?: AbortSignal,
): Promise<LoadedStage> {
  const [teacher, student, datasets, critics] = await Promise.all([
    resetToTeacher(client, wireTeacher(stage, config, run), held),
    loadStudent(client, stage, run),
    Promise.all(registerDatasets(client, stage.datasets, config.data, signal)),
    Promise.all(loadCritics(client, stage)),
  ]);
  const loaded = Object.fromEntries(datasets);
  requireAnswers(stage, loaded);
  return { student: student.result, teacher, critics: Object.fromEntries(critics), datasets: loaded };
}
