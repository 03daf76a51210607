import type {
  AdversaryConfig,
  CheckpointsConfig,
  CriticConfig,
  EvaluationConfig,
  IterationConfig,
  ModelConfig,
  RolloutConfig,
  Sampling,
  Schedule,
  StageDataConfig,
  TermConfig,
  TrainingConfig,
} from '../config/schema.js';

/** Where the weights of a role come from: outside, or the exported model of an earlier stage. */
export type ModelOrigin =
  | { readonly kind: 'source'; readonly source: string }
  | { readonly kind: 'stage'; readonly stage: string };

/** A model with every name resolved. `origin: stage` becomes a folder once that stage is done. */
export interface ModelPlan {
  readonly origin: ModelOrigin;
  readonly init: ModelConfig['init'];
  readonly layers: readonly number[] | null;
  /** Shape of a builtin model; null for others, stages included (an exported folder carries its shape). */
  readonly arch: ModelConfig['arch'];
  readonly seed: number;
  readonly dtype: ModelConfig['dtype'];
  /** Dtype of matrix products where it differs from the weights'; null otherwise. */
  readonly compute_dtype: ModelConfig['compute_dtype'];
  /** Attention implementation; null is the library's choice. */
  readonly attention: ModelConfig['attention'];
  readonly trust_remote_code: boolean;
}

export interface ReplayPlan {
  /** Rows kept. */
  readonly capacity: number;
  /** Seed of the choice of rows, one a step. */
  readonly seed: number;
}

/** One part of each batch, with its rows per batch (the shares times the batch size, summing to it). */
export interface PartPlan {
  readonly part: string;
  readonly from: 'dataset' | 'student' | 'teacher';
  readonly dataset: string;
  readonly rows: number;
  /** Seed of the responses drawn for this part; the sample id and position key the numbers. */
  readonly seed: number;
  /** Seed of the numbers, one a minibatch, that decide whether the model draws its rows. */
  readonly coinSeed: number;
  /** Where kept rollouts are learned from again. */
  readonly replay: ReplayPlan | null;
  /** Most student steps between drawing a response and learning from it; null is no limit. */
  readonly maxStaleness: number | null;
  /** A step's rows are drawn in the step before it, while the student trains. */
  readonly ahead: boolean;
  /** One response a prompt, kept on disk. */
  readonly cache: boolean;
}

/** Its weight is one of the plan's schedules. */
export interface TermPlan extends Omit<TermConfig, 'weight'> {
  readonly name: string;
}

export interface CriticPlan extends CriticConfig {
  readonly name: string;
  readonly seed: number;
}

/** One stage: everything it needs but the number of rows of its datasets. Immutable. */
export interface StagePlan {
  readonly name: string;
  readonly index: number;
  readonly method: string;
  readonly student: ModelPlan;
  readonly teacher: ModelPlan | null;
  readonly parts: readonly PartPlan[];
  readonly terms: readonly TermPlan[];
  readonly critics: readonly CriticPlan[];
  readonly adversary: AdversaryConfig;
  readonly iteration: IterationConfig;
  readonly training: TrainingConfig;
  /** Seeds of the adapters' weights, and of the dropout on their inputs. */
  readonly adapterSeeds: { readonly weights: number; readonly dropout: number };
  /** What draws responses. */
  readonly engine: RolloutConfig['engine'];
  /** Sampling of training rows. */
  readonly sampling: Sampling;
  readonly data: StageDataConfig;
  /** Datasets to register: training, parts, validation and test, each once, in that order. */
  readonly datasets: readonly string[];
  readonly evaluation: EvaluationConfig;
  readonly checkpoints: CheckpointsConfig;
  readonly diagnostics: { readonly every: number };
  /** Everything that changes with the steps, by name: `training.lr`, `terms.kd.weight`, … */
  readonly schedules: Readonly<Record<string, Schedule>>;
  /** Seed of the order of rows, per dataset that parts draw from. */
  readonly orderSeeds: Readonly<Record<string, number>>;
}

/** A stage plan whose datasets are registered: rows and total steps are known. */
export interface SizedStagePlan extends StagePlan {
  /** Rows of each dataset that parts draw from. */
  readonly rows: Readonly<Record<string, number>>;
  /** Rows in the order they are drawn in at first, per dataset; none where they are shuffled. */
  readonly orders: Readonly<Record<string, readonly number[]>>;
  /** Steps of the student. */
  readonly studentSteps: number;
  /** All steps: critic warm-up and steps of the student. */
  readonly steps: number;
}

/** A run: stages in order. Immutable; two runs with one hash train the same models. */
export interface RunPlan {
  readonly name: string;
  readonly seed: number;
  readonly hash: string;
  readonly stages: readonly StagePlan[];
}
