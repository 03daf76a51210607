import { present } from '../common/present.js';
import type { SourceConfig, StageConfig } from '../config/schema.js';
import { partRows } from '../config/sources.js';
import type { PartPlan, StagePlan } from './types.js';

/** What a part of the batch takes from where, in one step. */
export type PartShare = Pick<PartPlan, 'part' | 'from' | 'dataset' | 'rows'>;

/** The parts of a stage's batch with their sources, from its settings alone. */
export function sharesOf({
  method,
  training,
  data,
}: StageConfig): readonly (PartShare & { readonly source: SourceConfig })[] {
  const rows = partRows(method.sources, training.batch_size);
  return Object.entries(method.sources).map(([part, source]) => ({
    part,
    from: source.from,
    dataset: source.data ?? data.train,
    rows: present(rows.get(part), `number of rows of part ${part}`),
    source,
  }));
}

/** What decides how long a stage trains. */
interface Length extends Pick<StagePlan, 'training' | 'data' | 'iteration'> {
  readonly parts: readonly PartShare[];
}

/** Rows of the training set that one step of the student uses, averaged over an iteration. */
function trainingRowsPerStep({ parts, data, iteration }: Length): number {
  return parts
    .filter(({ dataset }) => dataset === data.train)
    .reduce((sum, { from, rows }) => sum + (from === 'dataset' ? rows : rows / iteration.epochs), 0);
}

/**
 * Steps of the student. `epochs` become as many as it takes to use every row of the training set that often, all parts
 * together.
 *
 * @param rows of the training set, which epochs need
 */
export function studentSteps(stage: Length, rows: number | null): number {
  const { steps, epochs } = stage.training;
  if (steps !== null) return steps;
  const all =
    present(epochs, 'number of steps or epochs') * present(rows, 'number of rows of the training set');
  return Math.max(1, Math.ceil(all / trainingRowsPerStep(stage) - 1e-9));
}

/** The same of a stage's settings alone; null where they are epochs of a set whose rows are not known. */
export function stepsOf(stage: StageConfig, rows: number | null): number | null {
  const { training, data, method } = stage;
  if (training.steps === null && rows === null) return null;
  const length = { parts: sharesOf(stage), training, data, iteration: method.iteration };
  return studentSteps(length, rows);
}
