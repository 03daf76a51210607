import type { Job } from './plan.js';

/** What a reproduction says while it goes. */
export type ReproductionEvent =
  | {
      readonly kind: 'phase_started';
      readonly phase: JobPhase;
      readonly jobs: number;
      /** Jobs among them that were found done. */
      readonly done: number;
    }
  | {
      readonly kind: 'job_finished';
      readonly phase: JobPhase;
      readonly job: JobName;
      readonly done: number;
      readonly jobs: number;
    }
  | { readonly kind: 'job_failed'; readonly phase: JobPhase; readonly job: JobName; readonly message: string }
  | { readonly kind: 'step'; readonly job: JobName; readonly step: number; readonly steps: number }
  | { readonly kind: 'chosen'; readonly row: string; readonly value: number; readonly figure: number }
  | { readonly kind: 'note'; readonly message: string };

export type JobPhase = 'tuning' | 'tuning evaluation' | 'training' | 'evaluation';

/** Which job, for people and scripts. */
export type JobName = Pick<Job, 'row' | 'seed' | 'value'>;

export const jobName = ({ row, seed, value }: Job): JobName => ({ row, seed, value });
