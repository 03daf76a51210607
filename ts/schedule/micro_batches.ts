import type { TrainingConfig } from '../config/schema.js';

/** What a micro-batch may hold; what is not limited is left out. */
export interface MicroBatchLimits {
  /** Rows. */
  readonly micro_batch?: number;
  /** Tokens, padding included. */
  readonly micro_tokens?: number;
}

/** The limits of a stage, of micro-batches of a step. */
export function limitsOf({ micro_batch, micro_tokens }: TrainingConfig): MicroBatchLimits {
  return {
    ...(micro_batch === 0 ? {} : { micro_batch }),
    ...(micro_tokens === null ? {} : { micro_tokens }),
  };
}

/** The same of rows that are measured, of which there may be more than a batch has. */
export function measureLimitsOf(training: TrainingConfig): MicroBatchLimits {
  return { micro_batch: training.batch_size, ...limitsOf(training) };
}
