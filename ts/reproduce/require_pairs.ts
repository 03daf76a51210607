import { AmmdError } from '../common/errors.js';
import type { TableConfig } from '../config/schema.js';
import { planRun } from '../plan/run.js';
import { modelPairs, pairKey, requirePair } from '../run/checks/model_pairs.js';
import { isOfTheMachine } from '../run/ending/machine_failure.js';
import type { WorkerPool } from '../run/workers/pool.js';
import { ReproduceError } from './errors.js';
import type { Profile } from './profile.js';

/** Pairs of all rows that differ, by what they are; the row that is named is the first that has it. */
function pairsOf(profile: Profile, { rows }: Pick<TableConfig, 'rows'>) {
  const pairs = Object.entries(rows).flatMap(([row, config]) =>
    modelPairs(planRun({ config: profile.runOf(config), hash: '' })).map((pair) => ({ row, pair })),
  );
  return [...new Map(pairs.toReversed().map((found) => [pairKey(found.pair), found])).values()].toReversed();
}

/**
 * Compares the students and teachers of a table's rows before its teacher is trained.
 *
 * @throws ReproduceError with the first two that cannot be trained together, or cannot be read.
 */
export async function requirePairs(
  profile: Profile,
  table: Pick<TableConfig, 'rows'>,
  pool: WorkerPool,
  signal?: AbortSignal,
): Promise<void> {
  const pairs = pairsOf(profile, table);
  if (pairs.length === 0) return;
  await pool.use(async ({ client }) => {
    for (const { row, pair } of pairs) {
      if (signal?.aborted) return;
      await requirePair(client, pair).catch((cause: unknown) => {
        if (!(cause instanceof AmmdError) || isOfTheMachine(cause)) throw cause;
        throw new ReproduceError('reproduction_failed', `row ${row}: ${cause.message}`, { cause });
      });
    }
  }, signal);
}
