import { present } from '../common/present.js';
import { permutation } from '../common/random.js';
import type { IterationConfig } from '../config/schema.js';
import type { PartPlan, SizedStagePlan } from '../plan/types.js';
import { type DrawnRows, drawRows } from './cursor.js';

/**
 * Where a step lies in its iteration. An iteration draws the responses for `minibatches` batches at its
 * start, from one policy, and passes over them `epochs` times; each minibatch is one optimizer step.
 */
export interface IterationPlace {
  readonly iteration: number;
  readonly epoch: number;
  /** 0-based step within the iteration. */
  readonly within: number;
  readonly length: number;
}

export function placeOf(step: number, { minibatches, epochs }: IterationConfig): IterationPlace {
  const length = minibatches * epochs;
  const within = step % length;
  return { iteration: Math.floor(step / length), epoch: Math.floor(within / minibatches), within, length };
}

/** The minibatch of a generated part that a step uses: in order at first, shuffled in later epochs. */
export function minibatchAt(part: PartPlan, place: IterationPlace, { minibatches, epochs }: IterationConfig) {
  const position = place.within % minibatches;
  if (place.epoch === 0) return position;
  const shuffle = permutation(minibatches, part.seed, place.iteration * epochs + place.epoch);
  return present(shuffle[position], 'minibatch of that position');
}

/** Rows that a part takes from its dataset in an iteration: once per rollout, or once per step. */
function rowsPerIteration(part: PartPlan, { minibatches, epochs }: IterationConfig): number {
  return part.rows * minibatches * (part.from === 'dataset' ? epochs : 1);
}

/**
 * Rows for the `block`-th use of a part in an iteration: `block` counts minibatches for generated parts and
 * steps for dataset parts. Parts that draw from one dataset take turns in one sequence, so that together they
 * use every row once an epoch.
 */
export function partDraw(plan: SizedStagePlan, part: PartPlan, iteration: number, block: number): DrawnRows {
  const sharing = plan.parts.filter(({ dataset }) => dataset === part.dataset);
  const rowsOf = (parts: readonly PartPlan[]) =>
    parts.reduce((sum, one) => sum + rowsPerIteration(one, plan.iteration), 0);
  const before = rowsOf(sharing.slice(0, sharing.indexOf(part)));
  const start = iteration * rowsOf(sharing) + before + block * part.rows;
  const order = plan.orders[part.dataset];
  const fixed = order === undefined ? undefined : { rows: order, epochs: plan.training.order.epochs };
  const rows = present(plan.rows[part.dataset], `number of rows of dataset ${part.dataset} in a plan`);
  const seed = present(
    plan.orderSeeds[part.dataset],
    `seed for the order of dataset ${part.dataset} in a plan`,
  );
  return drawRows(rows, seed, start, part.rows, fixed);
}
