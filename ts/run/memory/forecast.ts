import type { WorkerConfig } from '../../config/schema.js';
import type { WorkerClient } from '../../dispatch/client.js';
import { memoryRequest } from '../../dispatch/memory_request.js';
import type { SizedStagePlan } from '../../plan/types.js';
import type { OperationResult } from '../../wire/protocol.gen.js';
import { remediesFor } from './advice.js';

type Predicted = OperationResult<'predict_memory'>;
export type MemoryPhase = Predicted['phases'][number];

/** Peak memory of a stage, and what to change where it is more than there is. */
export interface MemoryForecast extends Predicted {
  readonly fits: boolean;
  /** What to change in the phase that takes most, for its largest item first; empty where it fits. */
  readonly remedies: readonly string[];
}

export const phaseBytes = ({ items }: MemoryPhase): number =>
  Object.values(items).reduce((sum, bytes) => sum + bytes, 0);

/** The phase that takes most. */
export function peakPhase({ phases }: Pick<Predicted, 'phases'>): MemoryPhase | undefined {
  return [...phases].sort((one, other) => phaseBytes(other) - phaseBytes(one))[0];
}

/** Bytes for people. */
export function inWords(bytes: number): string {
  const gib = bytes / 2 ** 30;
  if (gib < 1) return `${Math.round(gib * 1024)} MiB`;
  return `${gib < 10 ? gib.toFixed(2) : gib.toFixed(1)} GiB`;
}

/** Asks the worker what a stage that it has loaded will take. */
export async function forecastMemory(
  client: WorkerClient,
  stage: SizedStagePlan,
  { worker, device }: { readonly worker: WorkerConfig; readonly device: string },
): Promise<MemoryForecast> {
  const { result } = await client.call('predict_memory', memoryRequest(stage, true));
  const fits = result.peak_bytes <= result.available_bytes;
  const items = fits ? {} : (peakPhase(result)?.items ?? {});
  const excess = { items, bytes: result.peak_bytes - result.available_bytes };
  return { ...result, fits, remedies: remediesFor(excess, { stage, worker, device }) };
}

/**
 * What to say before a stage begins that needs more memory than there is; null where nothing is known of that. A lower
 * bound, which costs nothing, and a warning only: memory that runs out halves what is computed at a time, and a run is
 * not to be refused because of what other processes hold just now.
 */
export async function memoryWarning(client: WorkerClient, stage: SizedStagePlan): Promise<string | null> {
  const { result } = await client.call('predict_memory', memoryRequest(stage, false));
  const { peak_bytes, available_bytes } = result;
  if (peak_bytes <= available_bytes) return null;
  return (
    `stage ${stage.name}: needs more than ${inWords(peak_bytes)} of memory, and ${inWords(available_bytes)} are available; ` +
    '`ammd check` tells what to change'
  );
}
