import type { TrainingConfig } from '../../config/schema.js';
import type { StepRow } from '../../metrics/rows.js';
import type { SizedStagePlan } from '../../plan/types.js';

/** The limits of micro-batches that are halved so often from the beginning. */
function limitsAfter(halvings: number, { batch_size, micro_batch, micro_tokens }: TrainingConfig): string[] {
  if (halvings === 0) return [];
  const half = (limit: number) => Math.ceil(limit / 2 ** halvings);
  const rows = `training.micro_batch: ${half(Math.min(micro_batch || batch_size, batch_size))}`;
  if (micro_tokens === null) return [rows];
  return [`training.micro_tokens: ${half(micro_tokens)}`, ...(micro_batch === 0 ? [] : [rows])];
}

/** What to tell of a step for which memory has run out, now or before; null for any other. */
export function halvingNote({ name, training }: SizedStagePlan, { step, metrics }: StepRow): string | null {
  const chunk = metrics.position_chunk ?? 0;
  const rows = metrics.rollout_rows ?? 0;
  const settings = [
    ...limitsAfter(metrics.micro_batch_halvings ?? 0, training),
    ...(chunk === 0 ? [] : [`worker.position_chunk: ${chunk}`]),
    ...(rows === 0 ? [] : [`worker.rollout_rows: ${rows}`]),
  ];
  if (settings.length === 0) return null;
  return (
    `stage ${name}, step ${step}: memory ran out; what did not fit is computed in smaller pieces from now on. ` +
    `To begin so, set ${settings.join(', ')}`
  );
}
