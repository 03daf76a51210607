import { uniform } from '../common/random.js';
import type { PartPlan, SizedStagePlan } from '../plan/types.js';
import { studentStepAt } from './clock.js';
import { placeOf } from './iteration.js';
import { read } from './read.js';
import { isReplayed, replayTurn } from './replay.js';
import type { BatchPartPlan, RowOrigin, RowOrigins, StageState } from './types.js';

/**
 * Where the rows of a part come from in a minibatch of the present iteration. One number a minibatch, compared
 * with the part's probability at the iteration's start, decides for the whole iteration.
 */
export function originOf(
  plan: SizedStagePlan,
  state: StageState,
  part: PartPlan,
  minibatch: number,
): RowOrigin {
  if (part.from === 'dataset') return 'dataset';
  if (isReplayed(part)) return replayTurn(plan, state, part).origin;
  const { iteration, within } = placeOf(state.step, plan.iteration);
  const start = { ...state, studentStep: studentStepAt(plan, state.step - within) };
  const chance = read(plan, start, `sources.${part.part}.probability`);
  const draw = uniform(part.coinSeed, iteration * plan.iteration.minibatches + minibatch);
  return draw < chance ? 'fresh' : 'dataset';
}

/** Counts where the rows of generated parts came from; null for a method that generates nothing. */
export function originsOf(parts: readonly BatchPartPlan[]): RowOrigins | null {
  const generated = parts.filter(({ origin }) => origin !== null);
  if (generated.length === 0) return null;
  const counts = { fresh: 0, replayed: 0, dataset: 0 };
  let ages = 0;
  for (const part of generated) {
    if (part.from === 'dataset') counts.dataset += part.rows.length;
    else {
      counts[part.origin] += part.size;
      ages += part.age * part.size;
    }
  }
  const drawn = counts.fresh + counts.replayed;
  return { ...counts, staleness: drawn === 0 ? null : ages / drawn };
}
