// Freezes what scripts are written against. Nothing here runs: it holds as long as it compiles.

import type {
  AmmdError,
  ConfigIssue,
  EvaluationRow,
  JournalErrorCode,
  NewRunOptions,
  NewSweepOptions,
  Report,
  ReportErrorCode,
  ReportOptions,
  ResolvedConfig,
  ResolvedSweep,
  ResumeOptions,
  ResumeSweepOptions,
  RunCheck,
  RunConfig,
  RunErrorCode,
  RunEvent,
  RunEvents,
  RunFolder,
  StagePreflight,
  StepRow,
  SweepErrorCode,
  SweepEvent,
  SweepEvents,
  SweepResult,
  TrialRow,
  WorkerFailureCode,
  WrittenReport,
} from '../../../ts/index.js';
import * as ammd from '../../../ts/index.js';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Compiles when both are the same type; `assignable` is not enough, since it would let a signature widen. */
function same<A, B>(..._proof: Equal<A, B> extends true ? [] : ['the types differ']): void {}

same<string, string>();
// @ts-expect-error: the helper itself can fail
same<string, string | undefined>();

same<
  typeof ammd.resolveConfig,
  (reference: string, overrides?: readonly string[], cwd?: string) => ResolvedConfig
>();
same<
  ResolvedConfig,
  {
    readonly config: RunConfig;
    readonly hash: string;
    readonly files: readonly string[];
    readonly warnings: readonly string[];
  }
>();
same<typeof ammd.configToYaml, (config: RunConfig) => string>();
same<typeof ammd.run, (resolved: ResolvedConfig, options?: NewRunOptions) => RunEvents>();
same<typeof ammd.resume, (folder: string, options?: ResumeOptions) => RunEvents>();
same<RunEvents, AsyncGenerator<RunEvent, RunFolder, void>>();
same<
  { readonly [K in keyof NewRunOptions]: NewRunOptions[K] },
  {
    readonly out?: string;
    readonly signal?: AbortSignal;
    readonly maxHours?: number;
    readonly python?: string;
  }
>();
same<keyof ResumeOptions, 'signal' | 'maxHours' | 'python'>();
same<
  typeof ammd.check,
  (resolved: ResolvedConfig, options?: { readonly python?: string }) => Promise<RunCheck>
>();
same<RunCheck, { readonly stages: readonly StagePreflight[]; readonly problems: readonly string[] }>();
same<typeof ammd.buildReport, (folder: string) => Report>();
same<typeof ammd.reportOn, (folders: readonly string[], options?: ReportOptions) => WrittenReport>();
same<WrittenReport['path'], string>();
same<
  typeof ammd.resolveSweep,
  (reference: string, overrides?: readonly string[], cwd?: string) => ResolvedSweep
>();
same<typeof ammd.sweep, (resolved: ResolvedSweep, options?: NewSweepOptions) => SweepEvents>();
same<typeof ammd.resumeSweep, (folder: string, options?: ResumeSweepOptions) => SweepEvents>();
same<SweepEvents, AsyncGenerator<SweepEvent, SweepResult, void>>();
same<keyof NewSweepOptions, 'out' | 'signal' | 'devices' | 'jobs' | 'python'>();
same<keyof ResumeSweepOptions, 'trials' | 'signal' | 'devices' | 'jobs' | 'python'>();
same<Extract<SweepEvent, { kind: 'trial' }>, TrialRow>();
same<SweepResult['rows'], readonly TrialRow[]>();
same<
  RunEvent['kind'],
  | 'run_started'
  | 'stage_started'
  | 'phase'
  | 'step'
  | 'evaluation'
  | 'sample'
  | 'checkpoint'
  | 'stage_finished'
  | 'run_finished'
  | 'note'
>();

/** A script as users write it: `kind` tells which event it is. */
export async function script(resolved: ResolvedConfig): Promise<number> {
  let worst = 0;
  for await (const event of ammd.run(resolved, { out: 'runs/a' })) {
    switch (event.kind) {
      case 'step':
        same<typeof event, StepRow>();
        same<typeof event.metrics, Readonly<Record<string, number | null>>>();
        worst = Math.max(worst, event.metrics.loss ?? Number.POSITIVE_INFINITY);
        break;
      case 'evaluation':
        same<typeof event, EvaluationRow>();
        same<typeof event.decoding, 'greedy' | 'sampled' | 'teacher_forced'>();
        break;
      case 'checkpoint':
        same<typeof event.folder, string>();
        // @ts-expect-error: only rows of steps have metrics
        event.metrics;
        break;
    }
  }
  return worst;
}

/** What is thrown says what it is. */
export function errors(error: unknown): void {
  if (error instanceof ammd.RunError) same<typeof error.code, RunErrorCode>();
  if (error instanceof ammd.SweepError) same<typeof error.code, SweepErrorCode>();
  if (error instanceof ammd.WorkerFailure) same<typeof error.code, WorkerFailureCode>();
  if (error instanceof ammd.JournalError) same<typeof error.code, JournalErrorCode>();
  if (error instanceof ammd.ReportError) same<typeof error.code, ReportErrorCode>();
  if (error instanceof ammd.ConfigError) same<typeof error.issues, readonly ConfigIssue[]>();
  if (error instanceof ammd.AmmdError) same<typeof error.code, string>();
  if (error instanceof ammd.AmmdError) same<typeof error.hint, string | undefined>();
}
same<typeof ammd.WireError extends abstract new (...args: never) => AmmdError ? true : false, true>();

// @ts-expect-error: overrides are texts
ammd.resolveConfig('quickstart', { seed: 1 });
// @ts-expect-error: an option that does not exist
ammd.run({} as ResolvedConfig, { folder: 'runs/a' });
// @ts-expect-error: a run is resumed where it lies
ammd.resume('runs/a', { out: 'runs/b' });

export function change(resolved: ResolvedConfig): void {
  // @ts-expect-error: a resolved configuration is not changed, a run is named by its hash
  resolved.config.seed = 1;
}
