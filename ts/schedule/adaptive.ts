import { betterEnd } from '../config/metrics.js';
import type { AdaptiveSchedule } from '../config/schema.js';
import { mostMoves } from '../config/stage_schedules.js';
import type { SizedStagePlan, StagePlan } from '../plan/types.js';
import type { StageState } from './types.js';

/** Where an adaptive schedule is after so many moves: not a running sum, so that it has no rounding to carry. */
export function movedTo(schedule: AdaptiveSchedule, moves: number): number {
  const { from, to, increment } = schedule;
  return moves >= mostMoves(schedule) ? to : from + Math.sign(to - from) * increment * moves;
}

function adaptiveSchedules(plan: StagePlan): readonly (readonly [string, AdaptiveSchedule])[] {
  return Object.entries(plan.schedules).flatMap(([name, schedule]) =>
    schedule.kind === 'adaptive' ? [[name, schedule] as const] : [],
  );
}

/** Whether the stage needs an evaluation before its first step, from which the first one after it is told apart. */
export const needsMark = (plan: StagePlan): boolean => adaptiveSchedules(plan).length > 0;

/** Whether a figure got no better than the mark, by more than the tolerance. */
function isNoBetter(schedule: AdaptiveSchedule, figure: number, mark: number): boolean {
  const { tolerance } = schedule;
  const mode = betterEnd(schedule);
  return mode === 'min' ? figure >= mark + tolerance : figure <= mark - tolerance;
}

/**
 * The state after an evaluation on the validation set: adaptive schedules whose metric got no better move by
 * their increment, and the figure becomes the new mark (DistiLLM's rule). The first figure sets the mark alone.
 *
 * @param figures - by metric; one that is missing or not finite moves nothing
 */
export function observe(
  plan: SizedStagePlan,
  state: StageState,
  figures: Readonly<Record<string, number>>,
): StageState {
  const adaptive = { ...state.adaptive };
  for (const [name, schedule] of adaptiveSchedules(plan)) {
    const figure = figures[schedule.metric];
    if (figure === undefined || !Number.isFinite(figure)) continue;
    const before = adaptive[name];
    if (before === undefined) adaptive[name] = { moves: 0, mark: figure };
    else if (isNoBetter(schedule, figure, before.mark)) {
      adaptive[name] = { moves: Math.min(before.moves + 1, mostMoves(schedule)), mark: figure };
    }
  }
  return { ...state, adaptive };
}
