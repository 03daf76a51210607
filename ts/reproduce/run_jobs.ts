import { AmmdError, systemCodeOf } from '../common/errors.js';
import type { RunEvent } from '../metrics/events.js';
import { isOfTheMachine } from '../run/ending/machine_failure.js';
import { causeOf } from '../run/ending/stage_failure.js';
import { wasStopped } from '../run/ending/stage_stop.js';
import { RunError } from '../run/errors.js';
import type { WorkerPool } from '../run/workers/pool.js';
import type { Evaluated, EvaluationStore } from '../store/evaluation_store.js';
import type { StageStore } from '../store/stage_store.js';
import type { StoredStage } from '../store/stored_stage.js';
import { ReproduceError } from './errors.js';
import { type JobPhase, jobName, type ReproductionEvent } from './events.js';
import type { Job } from './plan.js';

export interface JobContext {
  readonly stages: StageStore;
  readonly evaluations: EvaluationStore;
  readonly pool: WorkerPool;
  readonly emit: (event: ReproductionEvent) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A job whose student has been trained and evaluated. */
export interface FinishedJob {
  readonly job: Job;
  readonly evaluated: Evaluated;
}

interface Phase {
  readonly name: JobPhase;
  readonly isDone: (job: Job) => boolean;
}

/**
 * Calls `work` for every job at once; the pool lets in as many as it has workers. What fails is told at once, and does not
 * keep the others from being done, since a reproduction that is started again repeats only that; but where the machine is
 * at fault (no environment, a full disk) the others are stopped.
 *
 * @throws RunError `interrupted`; ReproduceError with the first failure as its cause
 */
async function runPhase<Result>(
  jobs: readonly Job[],
  { name, isDone }: Phase,
  { emit, signal }: JobContext,
  work: (job: Job, signal: AbortSignal) => Promise<Result>,
): Promise<readonly Result[]> {
  const broken = new AbortController();
  const either = AbortSignal.any([broken.signal, ...(signal === undefined ? [] : [signal])]);
  const kept = new Set(jobs.filter(isDone));
  let done = kept.size;
  emit({ kind: 'phase_started', phase: name, jobs: jobs.length, done });
  const outcomes = await Promise.allSettled(
    jobs.map(async (job) => {
      const result = await work(job, either).catch((cause: unknown) => {
        if (!either.aborted)
          emit({ kind: 'job_failed', phase: name, job: jobName(job), message: messageOf(cause) });
        if (isOfTheMachine(cause)) broken.abort();
        throw cause;
      });
      if (!kept.has(job)) {
        done += 1;
        emit({ kind: 'job_finished', phase: name, job: jobName(job), done, jobs: jobs.length });
      }
      return result;
    }),
  );
  const failures = outcomes.flatMap((outcome, index) => {
    const job = jobs[index];
    if (outcome.status !== 'rejected' || job === undefined) return [];
    const cause: unknown = outcome.reason;
    // Stopped since another job found the machine at fault.
    return wasStopped(cause) && broken.signal.aborted ? [] : [{ job, cause }];
  });
  if (signal?.aborted) throw stopped();
  const first = failures.find(({ cause }) => isOfTheMachine(cause)) ?? failures[0];
  if (first !== undefined) throw failed(name, failures.length, jobs.length, first);
  return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
}

const messageOf = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause));

const stopped = () =>
  new RunError('interrupted', 'the reproduction was stopped', {
    hint: 'the same command goes on with it: what is done is not repeated',
  });

function failed(
  phase: JobPhase,
  count: number,
  jobs: number,
  { job, cause }: { readonly job: Job; readonly cause: unknown },
) {
  if (!(cause instanceof AmmdError) && systemCodeOf(cause) === undefined) return cause;
  return new ReproduceError(
    'reproduction_failed',
    `${count} of ${jobs} jobs of ${phase} failed, first ${job.row} with seed ${job.seed}: ${messageOf(cause)}`,
    {
      cause: causeOf(cause),
      hint: 'when that is mended, the same command goes on: what is done is not repeated',
    },
  );
}

/** Training events of a job as the reproduction's. */
function listen(job: Job, emit: (event: ReproductionEvent) => void): (event: RunEvent) => void {
  let steps = 0;
  return (event) => {
    if (event.kind === 'stage_started') steps = event.steps;
    else if (event.kind === 'step') emit({ kind: 'step', job: jobName(job), step: event.step, steps });
    else if (event.kind === 'note')
      emit({ kind: 'note', message: `${job.row}, seed ${job.seed}: ${event.message}` });
  };
}

/** Stages that jobs wait for, and that are no rows themselves. */
function listenToParent({ name }: StoredStage, emit: (event: ReproductionEvent) => void) {
  return (event: RunEvent): void => {
    if (event.kind === 'stage_started')
      emit({ kind: 'note', message: `${name} is trained first: ${event.steps} steps` });
    else if (event.kind === 'note') emit(event);
  };
}

/**
 * Trains and evaluates every job, whichever are not done. All training comes first: a worker keeps the teacher from one
 * student to the next, and evaluates without it.
 */
export async function runJobs(
  jobs: readonly Job[],
  phases: readonly [JobPhase, JobPhase],
  context: JobContext,
): Promise<readonly FinishedJob[]> {
  const { stages, evaluations, pool, emit } = context;
  const isTrained = ({ stored }: Job) => stages.isDone(stored);
  await runPhase(jobs, { name: phases[0], isDone: isTrained }, context, (job, signal) =>
    stages.run(job.stored, {
      pool,
      signal,
      emit: listen(job, emit),
      emitOf: (parent) => listenToParent(parent, emit),
    }),
  );
  const isEvaluated = ({ stored, evaluation }: Job) => evaluations.isDone(stored, evaluation);
  return runPhase(jobs, { name: phases[1], isDone: isEvaluated }, context, async (job, signal) => ({
    job,
    evaluated: await evaluations.run(job.stored, job.evaluation, { pool, signal }),
  }));
}
