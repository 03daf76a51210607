import type { ResolvedConfig } from '../config/resolve.js';
import { deepFreeze } from './freeze.js';
import { planStage } from './stage.js';
import type { RunPlan } from './types.js';

/** Turns a resolved configuration into the immutable plan of a run. */
export function planRun({ config, hash }: Pick<ResolvedConfig, 'config' | 'hash'>): RunPlan {
  const stages = Object.entries(config.stages).map(([name, stage], index) =>
    planStage(config, name, stage, index),
  );
  return deepFreeze({ name: config.name, seed: config.seed, hash, stages });
}
