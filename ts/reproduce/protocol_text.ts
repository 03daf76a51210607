import { counted } from '../common/counted.js';
import { present } from '../common/present.js';
import type { RowConfig, TableConfig } from '../config/schema.js';
import { keepsResponses } from '../config/sources.js';
import { groupBy } from '../metrics/aggregate.js';
import { stepsOf } from '../plan/length.js';
import { metricTitle } from '../report/formats/metric_titles.js';
import { isFixed, type Profile } from './profile.js';
import { chosenBy } from './tuning.js';

const list = (values: readonly (string | number)[]) => values.join(', ');

/** How long a row trains: its steps, or its epochs where the rows of its data are not known. */
function lengthOf({ runOf }: Profile, row: RowConfig): string {
  const run = runOf(row);
  const stage = present(run.stages[row.stage], `stage ${row.stage} in a checked profile`);
  const { epochs, batch_size } = stage.training;
  const steps = stepsOf(stage, run.data[stage.data.train]?.limit ?? null);
  const length = steps === null ? `${epochs} epochs` : `${steps} steps`;
  return `${length} of ${batch_size} rows`;
}

function dataSentence(profile: Profile, trained: readonly (readonly [string, RowConfig])[]): string {
  const lengths = groupBy(trained, ([, row]) => lengthOf(profile, row));
  if (lengths.size < 2)
    return 'All rows of a seed draw the same data in the same order, for the same number of steps and rows a batch.';
  const each = [...lengths].map(([length, rows]) => `${length} for ${list(rows.map(([id]) => id))}`);
  return `Rows of a seed that train equally long draw the same data in the same order; not all do: ${each.join('; ')}.`;
}

/** Which checkpoint of each row is its student, where it is not the last of all. */
function studentSentences({ runOf }: Profile, trained: readonly (readonly [string, RowConfig])[]): string[] {
  const metricOf = ([, row]: readonly [string, RowConfig]) =>
    runOf(row).stages[row.stage]?.evaluation.best?.metric ?? '';
  const byMetric = groupBy(trained, metricOf);
  return [...byMetric].flatMap(([metric, rows]) => {
    if (metric === '') return [];
    const whose = byMetric.size === 1 ? 'Each student' : `The student of ${list(rows.map(([id]) => id))}`;
    return [`${whose} is the checkpoint that was best on the validation set by ${metricTitle(metric)}.`];
  });
}

/** Which rows learn from responses that the teacher drew once, if any do. */
function responsesSentence({ runOf }: Profile, trained: readonly (readonly [string, RowConfig])[]): string[] {
  const taught = trained.filter(([, row]) =>
    Object.values(runOf(row).stages[row.stage]?.method.sources ?? {}).some(keepsResponses),
  );
  return taught.length === 0
    ? []
    : [
        `The teacher's responses are drawn once, and are the same for all seeds of ${list(taught.map(([id]) => id))}.`,
      ];
}

/** How settings were chosen on the tuning set, if any were. */
function choiceSentence(
  { config }: Profile,
  table: TableConfig,
  trained: readonly (readonly [string, RowConfig])[],
): string {
  const { tuning } = config;
  const tuned = trained.filter(([, row]) => row.tune);
  if (tuning === null || tuning.values.length === 0 || tuned.length === 0)
    return 'No setting was chosen for this table: all are as written in the configuration.';
  const { values, setting, data, seed } = tuning;
  const { metric, decoding } = chosenBy(config, table);
  return (
    `For each of ${tuned.length} rows the best of ${values.length} values of ${setting} (${list(values)}) was chosen ` +
    `by ${metricTitle(metric)} (${decoding}) on the set ${data} with training seed ${seed}, before any test set was ` +
    'looked at; all else is as written in the method files.'
  );
}

/** What is equal for all rows of a table, and what is not, a sentence each. */
export function protocolOf(
  profile: Profile,
  table: TableConfig,
  seeds: readonly number[],
): readonly string[] {
  const { evaluation, title } = profile.config;
  const trained = Object.entries(table.rows).filter(([, row]) => !isFixed(row));
  return [
    `${title}. Every row has ${counted(seeds.length, 'training seed')} (${list(seeds)}) but the teacher and the start, which have one.`,
    dataSentence(profile, trained),
    ...studentSentences(profile, trained),
    ...responsesSentence(profile, trained),
    `Each student is decoded with seeds ${list(evaluation.seeds)}, averaged${evaluation.greedy ? ', and greedily' : ''}.`,
    choiceSentence(profile, table, trained),
    ...(profile.overrides.length === 0
      ? []
      : [`Not as in the profile ${profile.config.name}, but as asked for: ${list(profile.overrides)}.`]),
  ];
}
