import type { WorkerConfig } from '../config/schema.js';
import { run as runSchema } from '../config/schema.js';
import { parseOptions } from './options.js';

/** The worker's settings as a configuration would have them, with defaults where nothing is given. */
export function workerSettings(given: { readonly device?: string; readonly threads?: number }): WorkerConfig {
  return parseOptions(runSchema.shape.worker, given);
}
