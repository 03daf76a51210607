import type { TrainingConfig } from '../config/schema.js';

/** What a micro-batch may hold and how; what is not limited is left out. */
export interface MicroBatchLimits {
  /** Rows. */
  readonly micro_batch?: number;
  /** Tokens, padding included where there is any. */
  readonly micro_tokens?: number;
  /** Rows lie end to end, and there is no padding. */
  readonly packing?: true;
}

/** The limits of a stage, of micro-batches of a step. */
export function limitsOf({ micro_batch, micro_tokens, packing }: TrainingConfig): MicroBatchLimits {
  return {
    ...(micro_batch === 0 ? {} : { micro_batch }),
    ...(micro_tokens === null ? {} : { micro_tokens }),
    ...(packing ? { packing } : {}),
  };
}

/** The same of rows that are measured, of which there may be more than a batch has. */
export function measureLimitsOf(training: TrainingConfig): MicroBatchLimits {
  return { micro_batch: training.batch_size, ...limitsOf(training) };
}
