import type { Sampling, TermConfig } from '../config/schema.js';
import type { MicroBatchLimits } from './micro_batches.js';

/** Where an adaptive schedule stands; there is none before an evaluation has set the mark. */
export interface AdaptiveState {
  /** Increments away from its start. */
  readonly moves: number;
  /** The metric at the last move, or before the first step. */
  readonly mark: number;
}

/**
 * The whole controller state of a stage between two steps. JSON-serialisable; with the stage plan it decides
 * everything that follows, so that a stage resumed from it makes the same plans.
 */
export interface StageState {
  readonly version: 2;
  /** Steps finished, critic warm-up included; the next step's 0-based number. */
  readonly step: number;
  /** Steps of the student finished; schedules run on this clock. */
  readonly studentStep: number;
  /** Ascent steps of the critics so far. */
  readonly criticTurns: number;
  /** Where adaptive schedules stand that have seen an evaluation, by the schedule's name. */
  readonly adaptive: Readonly<Record<string, AdaptiveState>>;
  /** Steps whose rollouts are kept, the oldest first, by part with replay. */
  readonly replay: Readonly<Record<string, readonly number[]>>;
}

/** Responses to draw before the batch is built: for that batch, or ahead of the next one. */
export interface RolloutPlan {
  /** step:N/rollout.PART, or buffer/… when a later step uses the rollout. */
  readonly handle: string;
  readonly part: string;
  readonly role: 'student' | 'teacher';
  readonly dataset: string;
  readonly rows: readonly number[];
  /** Unique per epoch and row, or per row where one response is kept for all epochs; below 2^53. */
  readonly sampleIds: readonly number[];
  readonly sampling: Sampling;
  readonly seed: number;
  /** Share of the teacher in the distribution that each token is drawn from; 0 for the role alone. */
  readonly mixture: number;
  /** Take responses from the cache, and keep new ones there. */
  readonly cache: boolean;
  /** For the next step: drawn from the student before this step's update, and needed after it. */
  readonly ahead: boolean;
}

/** How rows of a part came to be: drawn for this step or iteration, drawn for another and kept, or the dataset's own. */
export type RowOrigin = 'fresh' | 'replayed' | 'dataset';

/** Rows that enter the batch: of a dataset, or of a rollout drawn in this step or an earlier one. */
export type BatchPartPlan =
  | {
      readonly from: 'dataset';
      readonly part: string;
      /** Null in a part that is a dataset's by its method, and never generated. */
      readonly origin: Extract<RowOrigin, 'dataset'> | null;
      readonly dataset: string;
      readonly rows: readonly number[];
    }
  | {
      readonly from: 'rollout';
      readonly part: string;
      readonly origin: Exclude<RowOrigin, 'dataset'>;
      readonly handle: string;
      /** Which rows of the rollout, when it is replayed or has those of several minibatches; null is all. */
      readonly picks: readonly number[] | null;
      /** Rows. */
      readonly size: number;
      /** Steps of the student since they were drawn. */
      readonly age: number;
    };

/** Rows of generated parts in a step, by how they came to be. */
export interface RowOrigins extends Readonly<Record<RowOrigin, number>> {
  /** Mean age of the rows that a model drew, in student steps; null where there are none. */
  readonly staleness: number | null;
}

/** What the policies must be run for before the critics and the student step. */
export interface ScorePlan {
  readonly teacher: boolean;
  /**
   * values: for critics and returns; graph: kept for the student's step, so that one pass serves both, where the batch
   * is one micro-batch.
   */
  readonly student: 'none' | 'values' | 'graph';
}

export interface CriticStepPlan {
  readonly turns: number;
  readonly lr: number;
  readonly clip_norm: number;
  readonly updates: readonly { readonly critic: string; readonly part: string }[];
}

export interface WeightedTerm {
  readonly name: string;
  readonly objective: string;
  readonly part: string;
  readonly critic: string | null;
  readonly weight: number;
  readonly params: Readonly<Record<string, number>>;
  readonly gamma: number;
  readonly discount: TermConfig['discount'];
  readonly gradient: TermConfig['gradient'];
  readonly returns: TermConfig['returns'];
}

export interface StudentStepPlan {
  readonly lr: number;
  readonly clip_norm: number;
  /** Seed of the dropout on adapters' inputs; absent where they have none. */
  readonly dropout_seed?: number;
  readonly terms: readonly WeightedTerm[];
}

/** One optimizer step, fully decided: a list of facts that the dispatcher turns into requests. */
export interface StepPlan {
  /** 0-based, counts critic warm-up steps too. */
  readonly step: number;
  readonly phase: 'critic_warmup' | 'train';
  /** Handle of the batch, step:N/batch. */
  readonly batch: string;
  readonly rollouts: readonly RolloutPlan[];
  readonly parts: readonly BatchPartPlan[];
  /** Limits of the batch's micro-batches. */
  readonly limits: MicroBatchLimits;
  /** Null for a method that generates nothing. */
  readonly origins: RowOrigins | null;
  /** Where the schedules that change stand, by name. */
  readonly schedules: Readonly<Record<string, number>>;
  /** Null when no pass is needed before the student's own (no teacher, critic or policy gradient). */
  readonly score: ScorePlan | null;
  readonly critics: CriticStepPlan | null;
  /** Null in critic warm-up. */
  readonly student: StudentStepPlan | null;
  /** Buffer handles whose last use this step was; drop them after it. */
  readonly release: readonly string[];
  readonly diagnostics: boolean;
  /** Evaluate on the validation set after this step. */
  readonly evaluate: boolean;
  /** Write a checkpoint after this step (always after the last). */
  readonly checkpoint: boolean;
}
