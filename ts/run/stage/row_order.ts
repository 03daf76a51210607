import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { writeJsonAtomic } from '../../common/atomic_file.js';
import { canonicalJson, sha256 } from '../../common/hash.js';
import type { WorkerClient } from '../../dispatch/client.js';
import { measureRows } from '../../dispatch/evaluation.js';
import type { RunEvent } from '../../metrics/events.js';
import type { SizedStagePlan } from '../../plan/types.js';
import { measureLimitsOf } from '../../schedule/micro_batches.js';
import { orderBy } from '../../schedule/order.js';
import type { StageFolder } from '../folder/run_folder.js';
import type { LoadedStage } from '../loaded/loaded_stage.js';
import { firstRows } from './dataset_evaluation.js';

const measuredSchema = z.strictObject({
  by: z.enum(['length', 'teacher_loss', 'gap']),
  /** Configuration of the run, which names the models and their seeds. */
  config_hash: z.string(),
  /** Content of each dataset. */
  data: z.record(z.string(), z.string()),
  /** Difficulty of each row: tokens, or cross-entropy per token. */
  values: z.record(z.string(), z.array(z.number())),
});
type Measured = Readonly<z.infer<typeof measuredSchema>>;

const orderFileSchema = z.strictObject({
  format: z.literal(1),
  sha256: z.string(),
  measured: measuredSchema,
});

export interface OrderContext {
  readonly client: WorkerClient;
  readonly configHash: string;
  readonly emit: (event: RunEvent) => void;
  /** Aborting cancels the measurement. */
  readonly signal: AbortSignal | undefined;
}

/** Rows of each dataset that parts draw from, in their order of difficulty; none where rows are shuffled. */
export type RowOrders = Readonly<Record<string, readonly number[]>>;

/**
 * The order that a stage draws rows in, from the file that the stage wrote at its start where there is one. Otherwise
 * rows are measured with the models as they are loaded: call it before a checkpoint is restored, since the student's
 * losses are those at the start of the stage.
 *
 * @throws WireError `cancelled` when the signal stopped it.
 */
export async function rowOrders(
  context: OrderContext,
  stage: SizedStagePlan,
  folder: StageFolder,
  loaded: LoadedStage,
): Promise<RowOrders> {
  const { by, descending } = stage.training.order;
  if (by === 'shuffle') return {};
  const datasets = Object.keys(stage.orderSeeds);
  const data = Object.fromEntries(datasets.map((name) => [name, loaded.datasets[name]?.content_hash ?? '']));
  const basis = { by, config_hash: context.configHash, data };
  const values =
    readValues(context, folder.order, basis) ?? (await measureAll(context, stage, folder, basis));
  return Object.fromEntries(
    Object.entries(values).map(([name, difficulty]) => [name, orderBy(difficulty, descending)]),
  );
}

/** Null when the file is missing, damaged, or of something else. */
function readValues(
  { emit }: OrderContext,
  file: string,
  basis: Omit<Measured, 'values'>,
): Measured['values'] | null {
  if (!existsSync(file)) return null;
  try {
    const { sha256: hash, measured } = orderFileSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    const { values, ...found } = measured;
    if (hash !== sha256(canonicalJson(measured))) throw new Error('it has another hash');
    if (canonicalJson(found) !== canonicalJson(basis)) throw new Error('it was made from other data');
    return values;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    emit({ kind: 'note', message: `${file} cannot be used, rows are measured anew: ${reason}` });
    return null;
  }
}

async function measureAll(
  context: OrderContext,
  stage: SizedStagePlan,
  folder: StageFolder,
  basis: Omit<Measured, 'values'>,
): Promise<Measured['values']> {
  const values: Record<string, number[]> = {};
  for (const dataset of Object.keys(basis.data)) values[dataset] = await difficulty(context, stage, dataset);
  const measured: Measured = { ...basis, values };
  writeJsonAtomic(folder.order, { format: 1, sha256: sha256(canonicalJson(measured)), measured });
  return values;
}

/** One figure a row: what `training.order.by` names. */
async function difficulty(context: OrderContext, stage: SizedStagePlan, dataset: string): Promise<number[]> {
  const { by } = stage.training.order;
  if (by === 'length') return (await measure(context, stage, dataset, 'student', [])).tokens.slice();
  const teacher = await crossEntropy(context, stage, dataset, 'teacher');
  if (by === 'teacher_loss') return teacher;
  const student = await crossEntropy(context, stage, dataset, 'student');
  return student.map((value, row) => value - (teacher[row] ?? 0));
}

async function crossEntropy(
  context: OrderContext,
  stage: SizedStagePlan,
  dataset: string,
  role: 'student' | 'teacher',
): Promise<number[]> {
  const { values } = await measure(context, stage, dataset, role, ['cross_entropy']);
  return [...(values.cross_entropy ?? [])];
}

function measure(
  { client, emit, signal }: OrderContext,
  { name, rows, training }: SizedStagePlan,
  dataset: string,
  role: 'student' | 'teacher',
  metrics: readonly string[],
) {
  const total = rows[dataset] ?? 0;
  const detail = `${dataset} by ${training.order.by}${training.order.by === 'gap' ? `, ${role}` : ''}`;
  return measureRows(
    client,
    {
      role,
      dataset,
      rows: firstRows(total),
      metrics,
      ...measureLimitsOf(training),
    },
    {
      onRows: (done) => emit({ kind: 'phase', stage: name, phase: 'ordering', detail, done, total }),
      signal,
    },
  );
}
