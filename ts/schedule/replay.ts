import { permutation, uniform } from '../common/random.js';
import type { PartPlan, ReplayPlan, SizedStagePlan } from '../plan/types.js';
import { studentStepAt } from './clock.js';
import { read } from './read.js';
import type { RowOrigin, StageState } from './types.js';

/** A part whose rollouts are kept. */
export type ReplayPart = PartPlan & { readonly replay: ReplayPlan };

export const isReplayed = (part: PartPlan): part is ReplayPart => part.replay !== null;

/** What a part with replay does in a step, and the steps whose rollouts it keeps afterwards, oldest first. */
export interface ReplayTurn {
  readonly origin: RowOrigin;
  readonly kept: readonly number[];
  readonly dropped: readonly number[];
}

/** Rollouts that fit in the buffer. */
const room = ({ replay, rows }: ReplayPart) => Math.floor(replay.capacity / rows);

/** Whether the next step of the student may still learn from the rollout of step `drawn`. */
function isUsable(plan: SizedStagePlan, part: PartPlan, drawn: number, next: number): boolean {
  const age = studentStepAt(plan, next) - studentStepAt(plan, drawn);
  return part.maxStaleness === null || age <= part.maxStaleness;
}

/**
 * DistiLLM's rule, with the step's one number r and φ = `probability`: new responses if r < φ · `fresh`, or if
 * r < φ and another rollout fits in the buffer; else replayed ones if r < φ; else the dataset's. New ones
 * push out the oldest. At the end of the stage nothing is kept.
 */
export function replayTurn(plan: SizedStagePlan, state: StageState, part: ReplayPart): ReplayTurn {
  const held = state.replay[part.part] ?? [];
  const chance = read(plan, state, `sources.${part.part}.probability`);
  const fresh = chance * read(plan, state, `sources.${part.part}.replay.fresh`);
  const draw = uniform(part.coinSeed, state.step);
  const draws = draw < fresh || (draw < chance && held.length < room(part));
  const stored = draws ? [...held, state.step] : held;
  const next = state.step + 1;
  const kept =
    next < plan.steps ? stored.slice(-room(part)).filter((drawn) => isUsable(plan, part, drawn, next)) : [];
  return {
    origin: draws ? 'fresh' : draw < chance ? 'replayed' : 'dataset',
    kept,
    dropped: stored.filter((drawn) => !kept.includes(drawn)),
  };
}

/** Rows of one kept rollout, from 0. */
export interface Picked {
  /** Step that drew the rollout. */
  readonly drawn: number;
  readonly picks: readonly number[];
}

/** The rows to learn from again: as many as the part has, uniformly and without repetition over all that is held. */
export function pickRows(part: ReplayPart, held: readonly number[], step: number): readonly Picked[] {
  const { rows, replay } = part;
  const chosen = permutation(held.length * rows, replay.seed, step)
    .slice(0, rows)
    .sort();
  return held.flatMap((drawn, index) => {
    const picks = [...chosen].filter((row) => Math.floor(row / rows) === index).map((row) => row % rows);
    return picks.length === 0 ? [] : [{ drawn, picks }];
  });
}
