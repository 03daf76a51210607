/** Shapes of the resolved configuration. Keys are the YAML keys; the reference is generated from these. */
export { type Optimizer, optimizer, type Sampling, sampling } from './schema/common.js';
export { type DatasetConfig, dataset, FIELDS } from './schema/data.js';
export {
  type AdversaryConfig,
  type CriticConfig,
  DEFAULT_ADVERSARY,
  DEFAULT_ON_POLICY_WEIGHT,
  DEFAULT_PENALTY_TARGET,
  type IterationConfig,
  type MethodConfig,
  method,
} from './schema/method.js';
export {
  isStageReference,
  isT5,
  type ModelConfig,
  type ModelReference,
  model,
  modelReference,
  type StageReference,
} from './schema/models.js';
export type { OrderConfig } from './schema/order.js';
export {
  type ProfileConfig,
  profile,
  type RowConfig,
  type TableConfig,
} from './schema/reproduce.js';
export { maxHours, type RunConfig, run, type WandbConfig, type WorkerConfig } from './schema/run.js';
export {
  type AdaptiveSchedule,
  constantValue,
  type Schedule,
  type SimpleSchedule,
  schedule,
  scheduleEnds,
  scheduleSpan,
  simpleSchedule,
} from './schema/schedule.js';
export type { SourceConfig } from './schema/source.js';
export {
  type CheckpointsConfig,
  DEFAULT_ROLLOUT,
  type EvaluationConfig,
  type RolloutConfig,
  type StageConfig,
  type StageDataConfig,
  stage,
  type TrainingConfig,
} from './schema/stage.js';
export { DEFAULT_RETURNS, type TermConfig } from './schema/term.js';
