import type { EvaluationRow, SampleRow, StepRow } from './rows.js';

/** What a stage does at the moment, for people who wait. `done` of `total` in units of `detail`'s choice. */
export type Phase = 'loading' | 'ordering' | 'training' | 'evaluating' | 'exporting';

export interface StageSummary {
  readonly name: string;
  readonly method: string;
  readonly steps: number;
}

export interface RunStarted {
  readonly kind: 'run_started';
  readonly name: string;
  readonly folder: string;
  /** All stages in order, those already done on resume included. */
  readonly stages: readonly StageSummary[];
}

export interface StageStarted {
  readonly kind: 'stage_started';
  readonly stage: string;
  readonly steps: number;
  /** Steps already done by the checkpoint that training goes on from; null on a fresh start. */
  readonly resumed_from: number | null;
  /** Parameters by role, for example student, teacher, critic:on; of critics those that are trained. */
  readonly parameters: Readonly<Record<string, number>>;
}

export interface PhaseChanged {
  readonly kind: 'phase';
  readonly stage: string;
  readonly phase: Phase;
  /** What exactly, for example the dataset's name and the decoding seed. */
  readonly detail: string;
  readonly done: number;
  /** 0 where it is not known. */
  readonly total: number;
}

export interface CheckpointWritten {
  readonly kind: 'checkpoint';
  readonly stage: string;
  readonly step: number;
  readonly folder: string;
  readonly durable: true;
}

export interface StageFinished {
  readonly kind: 'stage_finished';
  readonly stage: string;
  /** Wall clock of this process; a stage found done on resume says 0. */
  readonly seconds: number;
}

export interface RunFinished {
  readonly kind: 'run_finished';
  readonly folder: string;
  /** Path of the HTML page. */
  readonly report: string;
  readonly seconds: number;
}

export interface Note {
  readonly kind: 'note';
  readonly message: string;
}

/** Everything a run says while it goes. Rows pass through as they are written to the run folder. */
export type RunEvent =
  | RunStarted
  | StageStarted
  | PhaseChanged
  | StepRow
  | EvaluationRow
  | SampleRow
  | CheckpointWritten
  | StageFinished
  | RunFinished
  | Note;
