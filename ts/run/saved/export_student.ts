import path from 'node:path';
import type { WorkerClient } from '../../dispatch/client.js';
import { wireAdapters, wireModel } from '../../dispatch/load_requests.js';
import type { ModelPlan } from '../../plan/types.js';
import type { Checkpoint } from './checkpoints.js';
import type { ExportForm, ExportTarget } from './export_target.js';
import { restore } from './restore.js';

/** How attention and matrix products are computed changes no weight, and may need another device. */
const weightsOf = (model: ModelPlan): ModelPlan => ({ ...model, attention: null, compute_dtype: null });

/**
 * Loads a stage's student untrained, puts a checkpoint's weights into it and writes it to `out`.
 *
 * @throws WireError as the worker fails.
 */
export async function exportCheckpoint(
  client: WorkerClient,
  { run, stage: { student, ...stage } }: ExportTarget,
  checkpoint: Checkpoint,
  out: string,
  form: ExportForm,
): Promise<void> {
  await client.call('load_role', {
    role: 'student',
    model: wireModel(weightsOf(student), (name) => run.stage(name).student),
    gradient_checkpointing: false,
    ...wireAdapters(stage),
  });
  await restore(client, checkpoint);
  await client.call('export', { role: 'student', dir: path.resolve(out), form });
}
