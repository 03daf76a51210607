import type { WorkerClient } from '../../dispatch/client.js';
import { wireModelAt } from '../../dispatch/load_requests.js';
import { rootModel, type SourceModel } from '../../plan/models.js';
import type { RunPlan } from '../../plan/types.js';

/** A student and a teacher that a stage trains together, as they are before the run. */
export interface ModelPair {
  readonly stage: string;
  readonly student: SourceModel;
  readonly teacher: SourceModel;
}

const identityOf = ({ origin, trust_remote_code }: SourceModel) =>
  JSON.stringify([origin, trust_remote_code]);

/** What decides whether two models can be a pair: two pairs of one key need comparing once. */
export const pairKey = ({ student, teacher }: ModelPair): string =>
  JSON.stringify([identityOf(student), identityOf(teacher)]);

/** The pairs of a run's stages, each once, but for those of one model with what descends from it: they agree. */
export function modelPairs(plan: RunPlan): readonly ModelPair[] {
  const pairs: ModelPair[] = [];
  for (const { name, ...models } of plan.stages) {
    if (models.teacher === null) continue;
    const pair = {
      stage: name,
      student: rootModel(plan, models.student),
      teacher: rootModel(plan, models.teacher),
    };
    if (identityOf(pair.student) === identityOf(pair.teacher)) continue;
    if (!pairs.some((other) => pairKey(other) === pairKey(pair))) pairs.push(pair);
  }
  return pairs;
}

/**
 * Lets the worker compare kinds and tokenizers of a pair: that takes seconds, where the stages before the pair's own may
 * take days.
 *
 * @throws WireError when the two cannot be trained together, or cannot be read.
 */
export async function requirePair(client: WorkerClient, { student, teacher }: ModelPair): Promise<void> {
  await client.call('compare_models', {
    student: wireModelAt(student.origin.source, student),
    teacher: wireModelAt(teacher.origin.source, teacher),
  });
}
