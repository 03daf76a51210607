import type { ProfileConfig, TableConfig } from '../config/schema.js';
import { isFixed } from './plan.js';

const list = (values: readonly (string | number)[]) => values.join(', ');

/** What is equal for all rows of a table, and what is not, a sentence each. */
export function protocolOf(
  config: ProfileConfig,
  table: TableConfig,
  seeds: readonly number[],
): readonly string[] {
  const { evaluation, tuning } = config;
  const tuned = Object.entries(table.rows).filter(([, row]) => row.tune && !isFixed(row));
  return [
    `${config.title}. Every row has ${seeds.length} training seeds (${list(seeds)}) but the teacher and the start, which have one.`,
    'All rows of a seed draw the same data in the same order, for the same number of steps and rows a batch.',
    `Each student is decoded with seeds ${list(evaluation.seeds)}, averaged${evaluation.greedy ? ', and greedily' : ''}.`,
    tuning === null || tuning.values.length === 0 || tuned.length === 0
      ? 'No setting was chosen for this table: all are as written in the configuration.'
      : `For each of ${tuned.length} rows the best of ${tuning.values.length} values of ${tuning.setting} (${list(tuning.values)}) was chosen on the set ${tuning.data} with training seed ${tuning.seed}, before any test set was looked at; all else is as written in the method files.`,
  ];
}
