import type { Note, RunEvent } from '../metrics/events.js';
import type { SweepSummary, TrialRow } from '../metrics/sweep_rows.js';
import type { Parameters } from './space.js';

export interface SweepStarted {
  readonly kind: 'sweep_started';
  readonly name: string;
  readonly folder: string;
  /** Trials in all, and those done before. */
  readonly wanted: number;
  readonly done: number;
  readonly objective: SweepSummary['objective'];
}

export interface TrialStarted {
  readonly kind: 'trial_started';
  readonly number: number;
  readonly parameters: Parameters;
  /** It ran before the sweep was stopped or killed, and is run again. */
  readonly again: boolean;
}

/** What the run of a trial says; before the judged stage begins, that of a stage before it. */
export interface TrialEvent {
  readonly kind: 'trial_event';
  readonly number: number;
  readonly event: RunEvent;
}

export interface SweepFinished {
  readonly kind: 'sweep_finished';
  readonly folder: string;
  readonly best: SweepSummary['best'];
  readonly seconds: number;
}

/** Everything a sweep says while it goes; a finished trial as its row. */
export type SweepEvent = SweepStarted | TrialStarted | TrialEvent | TrialRow | SweepFinished | Note;
