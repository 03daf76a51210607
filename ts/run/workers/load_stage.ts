import type { RunConfig } from '../../config/schema.js';
import type { WorkerClient } from '../../dispatch/client.js';
import {
  type StudentFolder,
  wireCritic,
  wireDataset,
  wireStudent,
  wireTeacher,
} from '../../dispatch/load_requests.js';
import type { StagePlan } from '../../plan/types.js';
import type { OperationArgs } from '../../wire/protocol.gen.js';
import type { RunFolder } from '../folder/run_folder.js';
import { requireAnswers } from '../loaded/answers.js';
import { HeldTeacher } from '../loaded/held_teacher.js';
import type { LoadedRole, LoadedStage } from '../loaded/loaded_stage.js';

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
  const studentOf: StudentFolder = (name) => run.stage(name).student;
  const [teacher, student, datasets, critics] = await Promise.all([
    resetToTeacher(client, wireTeacher(stage, config.worker, studentOf), held),
    client.call('load_role', wireStudent(stage, studentOf)),
    Promise.all(registerDatasets(client, stage.datasets, config.data, signal)),
    Promise.all(loadCritics(client, stage)),
  ]);
  const loaded = Object.fromEntries(datasets);
  requireAnswers(stage, loaded);
  return { student: student.result, teacher, critics: Object.fromEntries(critics), datasets: loaded };
}
