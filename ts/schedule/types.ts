import type { Sampling } from '../config/schema.js';

/**
 * The whole controller state of a stage between two steps. JSON-serialisable; with the stage plan it decides
 * everything that follows, so that a stage resumed from it makes the same plans.
 */
export interface StageState {
  readonly version: 1;
  /** Steps finished, critic warm-up included; the next step's 0-based number. */
  readonly step: number;
  /** Steps of the student finished; schedules run on this clock. */
  readonly studentStep: number;
  /** Ascent steps of the critics so far. */
  readonly criticTurns: number;
}

/** Responses to draw before the batch is built. */
export interface RolloutPlan {
  /** step:N/PART, or buffer/… when later steps of the iteration use the rollout again. */
  readonly handle: string;
  readonly part: string;
  readonly role: 'student' | 'teacher';
  readonly dataset: string;
  readonly rows: readonly number[];
  /** Unique per epoch and row, below 2^53. */
  readonly sampleIds: readonly number[];
  readonly sampling: Sampling;
  readonly seed: number;
}

/**
 * Rows that enter the batch: of a dataset, or a rollout drawn in this step or an earlier one of the
 * iteration.
 */
export type BatchPartPlan =
  | {
      readonly from: 'dataset';
      readonly part: string;
      readonly dataset: string;
      readonly rows: readonly number[];
      readonly sampleIds: readonly number[];
    }
  | { readonly from: 'rollout'; readonly part: string; readonly handle: string };

/** What the policies must be run for before the critics and the student step. */
export interface ScorePlan {
  readonly teacher: boolean;
  /** values: for critics; graph: kept for the student's step, so that one pass serves both. */
  readonly student: 'none' | 'values' | 'graph';
  /** Rows at a time; 0 is all. */
  readonly micro_batch: number;
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
}

export interface StudentStepPlan {
  readonly lr: number;
  readonly clip_norm: number;
  readonly micro_batch: number;
  /** Of the dropout on adapters' inputs; absent where they have none. */
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
  /** Null when no pass is needed before the student's own (no teacher, no critic). */
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
