import type { WorkerClient } from '../../dispatch/client.js';
import { type AnyReply, sendStep } from '../../dispatch/send_step.js';
import type { StepRow } from '../../metrics/rows.js';
import type { SizedStagePlan } from '../../plan/types.js';
import { advance } from '../../schedule/state.js';
import { planStep } from '../../schedule/step.js';
import type { StageState, StepPlan } from '../../schedule/types.js';
import { LIMITS } from '../../wire/protocol.gen.js';
import { stepRow } from '../rows/step_row.js';

/** What happens between two steps, when nothing is in flight and every row so far has been written. */
export interface Barrier {
  readonly plan: StepPlan;
  /** The state after the step. */
  readonly state: StageState;
  /** Someone asked to stop: this is the last step for now. */
  readonly stopping: boolean;
  /** Nothing was saved for long, and no step is to be saved by its number: half an hour and a step is the most a kill may cost then. */
  readonly overdue: boolean;
}

export interface TrainLoopOptions {
  readonly client: WorkerClient;
  readonly stage: SizedStagePlan;
  readonly from: StageState;
  readonly policyVersion: number;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  readonly onRow: (row: StepRow) => void;
  /**
   * Called when the step's plan asks for an evaluation or a checkpoint, where one is overdue, and before stopping.
   * Resolves with the state to go on from: evaluations move adaptive schedules.
   */
  readonly atBarrier: (barrier: Barrier) => Promise<StageState>;
  readonly signal: AbortSignal | undefined;
}

/** Writing takes seconds to a minute or two of it. */
const UNSAVED_MS = 30 * 60_000;

interface InFlight {
  readonly plan: StepPlan;
  readonly replies: Promise<readonly AnyReply[]>;
}

/**
 * Runs the remaining steps of a stage. The next step is sent before the last has been answered, at most
 * `max_steps_ahead` of them: its requests refer to results not yet born by handle, and no decision of the schedule
 * needs a result, so the worker never waits for this side.
 *
 * @returns the state after the last step that was run.
 * @throws the first failure of the worker; `onRow` has been called for every step before it.
 */
export async function trainLoop(options: TrainLoopOptions): Promise<StageState> {
  const { client, stage, now, onRow, atBarrier, signal } = options;
  const inFlight: InFlight[] = [];
  let state = options.from;
  let policyVersion = options.policyVersion;
  let stepEnd = now();
  let savedAt = stepEnd;
  const isStopping = () => signal?.aborted ?? false;

  const settleOldest = async () => {
    const oldest = inFlight.shift();
    if (oldest === undefined) return;
    const replies = await oldest.replies;
    const end = now();
    const row = stepRow(stage.name, oldest.plan, replies, (end - stepEnd) / 1000, policyVersion);
    stepEnd = end;
    policyVersion = row.policy_version;
    onRow(row);
  };

  while (state.step < stage.steps) {
    const plan = planStep(stage, state);
    state = advance(stage, state);
    const replies = sendStep(client, plan);
    // A step may fail while an earlier one is awaited; whoever awaits it later still learns why.
    replies.catch(() => {});
    inFlight.push({ plan, replies });
    // By the clock, which decides nothing of what is trained: a barrier changes no step.
    const overdue = stage.checkpoints.every === 0 && now() - savedAt >= UNSAVED_MS;
    const due = plan.evaluate || plan.checkpoint || overdue;
    while (inFlight.length >= (due || isStopping() ? 1 : LIMITS.maxStepsAhead)) await settleOldest();
    const stopping = isStopping();
    if (due || stopping) {
      state = await atBarrier({ plan, state, stopping, overdue });
      stepEnd = now();
      if (overdue) savedAt = stepEnd;
    }
    if (stopping) break;
  }
  return state;
}
