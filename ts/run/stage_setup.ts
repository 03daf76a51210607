import path from 'node:path';
import type { DatasetConfig, RunConfig } from '../config/schema.js';
import type { Reply, WorkerClient } from '../dispatch/client.js';
import type { ModelPlan, StagePlan } from '../plan/types.js';
import type { OperationArgs, OperationResult } from '../wire/protocol.gen.js';
import type { RunFolder } from './run_folder.js';

export type LoadedRole = OperationResult<'load_role'>;
export type LoadedData = OperationResult<'register_data'>;

/** What the worker said of everything a stage loaded. */
export interface LoadedStage {
  readonly student: LoadedRole;
  readonly teacher: LoadedRole | null;
  /** Trained parameters of each critic. */
  readonly critics: Readonly<Record<string, number>>;
  readonly datasets: Readonly<Record<string, LoadedData>>;
}

/** Where the worker finds the weights: outside, or the student that an earlier stage of this run exported. */
function wireModel(model: ModelPlan, run: RunFolder): OperationArgs<'load_role'>['model'] {
  const source =
    model.origin.kind === 'source'
      ? model.origin.source
      : path.resolve(run.stage(model.origin.stage).student);
  return {
    source,
    init: model.init,
    seed: model.seed,
    dtype: model.dtype,
    trust_remote_code: model.trust_remote_code,
    ...(model.layers === null ? {} : { layers: [...model.layers] }),
    ...(model.arch === null ? {} : { arch: { ...model.arch } }),
  };
}

export function wireDataset({ limit, ...dataset }: DatasetConfig): OperationArgs<'register_data'>['source'] {
  return { ...dataset, fields: { ...dataset.fields }, ...(limit === null ? {} : { limit }) };
}

/** Device, threads and budgets; the first call of a session. */
export async function configureWorker(
  client: WorkerClient,
  worker: RunConfig['worker'],
): Promise<OperationResult<'configure'>> {
  const { transport: _transport, cache_dir, ...settings } = worker;
  const cache = path.resolve(cache_dir ?? path.join('.ammd', 'cache'));
  return (await client.call('configure', { ...settings, cache_dir: cache })).result;
}

/**
 * Frees what the stage before held and loads this stage's models, datasets and critics. The requests are sent at
 * once; the worker runs them in order: the teacher first, whose layers a student may start from.
 */
export async function loadStage(
  client: WorkerClient,
  stage: StagePlan,
  config: RunConfig,
  run: RunFolder,
): Promise<LoadedStage> {
  const gradientCheckpointing = stage.training.gradient_checkpointing;
  const reset = client.call('reset', {});
  const teacher =
    stage.teacher === null
      ? Promise.resolve(null)
      : client.call('load_role', {
          role: 'teacher',
          model: wireModel(stage.teacher, run),
          gradient_checkpointing: false,
        });
  const student = client.call('load_role', {
    role: 'student',
    model: wireModel(stage.student, run),
    optimizer: { ...stage.training.optimizer },
    gradient_checkpointing: gradientCheckpointing,
  });
  const datasets = stage.datasets.map((name) => {
    const dataset = config.data[name];
    if (dataset === undefined) throw new Error(`the plan names dataset ${name}, the config does not`);
    return client.call('register_data', { dataset: name, source: wireDataset(dataset) });
  });
  const critics = stage.critics.map(({ name, part: _part, ...spec }) =>
    client.call('load_critic', {
      critic: name,
      spec,
      optimizer: { ...stage.adversary.optimizer },
    }),
  );
  const [, loadedTeacher, loadedStudent, loadedData, loadedCritics] = await Promise.all([
    reset,
    teacher,
    student,
    Promise.all(datasets),
    Promise.all(critics),
  ]);
  const byName = <Value>(names: readonly string[], values: readonly Value[]) =>
    Object.fromEntries(names.map((name, index) => [name, values[index]])) as Record<string, Value>;
  return {
    student: loadedStudent.result,
    teacher: loadedTeacher?.result ?? null,
    critics: byName(
      stage.critics.map(({ name }) => name),
      loadedCritics.map((reply: Reply<'load_critic'>) => reply.result.parameters),
    ),
    datasets: byName(
      stage.datasets,
      loadedData.map((reply: Reply<'register_data'>) => reply.result),
    ),
  };
}
