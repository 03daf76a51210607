import { canonicalJson, sha256 } from '../common/hash.js';
import { present } from '../common/present.js';
import type { RowConfig, RunConfig, TableConfig } from '../config/schema.js';
import type { EvaluationRequest } from '../store/evaluation_store.js';
import { type StoredStage, storedStage } from '../store/stored_stage.js';
import { isFixed, type Profile } from './profile.js';

/** One student of one row, and what it is evaluated on. */
export interface Job {
  readonly purpose: 'tuning' | 'table';
  readonly row: string;
  readonly seed: number;
  /** The value of the setting that is chosen; null as written. */
  readonly value: number | null;
  /** The stage of the run, and the run with the row's settings and the value tried. */
  readonly stage: string;
  readonly run: RunConfig;
  readonly stored: StoredStage;
  readonly evaluation: EvaluationRequest;
}

/** The setting of each row that was chosen on the tuning set; a row that is not there keeps what is written. */
export type Choices = ReadonlyMap<string, number>;

type Fingerprint = (source: string) => string;

/** All trained rows are one stage by name, so that at one seed they draw the same rows in the same order. */
const TRAINED = 'student';

function evaluationOf(
  { config, run }: Profile,
  data: readonly string[],
  rows: number | null,
): EvaluationRequest {
  const { greedy, seeds, sampling, samples } = config.evaluation;
  const datasets = data.map(
    (name) => [name, present(run.data[name], `dataset ${name} in a checked profile`)] as const,
  );
  return {
    datasets: Object.fromEntries(datasets),
    greedy,
    seeds,
    sampling,
    rows,
    samples,
    metrics: [config.metric],
  };
}

function trainingOf(
  run: RunConfig,
  row: RowConfig,
  seed: number,
  fingerprint: Fingerprint,
): Pick<Job, 'seed' | 'stage' | 'run' | 'stored'> {
  const options = isFixed(row) ? { fingerprint } : { fingerprint, seed, name: TRAINED };
  return { seed, stage: row.stage, run, stored: storedStage(run, row.stage, options) };
}

/**
 * What is tried of a row on the tuning set: each value, or once as it is written where a baseline must have a figure to be
 * compared by.
 */
function triedOf(
  row: RowConfig,
  values: readonly number[],
  { primary }: TableConfig,
): readonly (number | null)[] {
  if (isFixed(row)) return [];
  if (row.tune && values.length > 0) return values;
  return primary !== null && row.group === 'baseline' ? [null] : [];
}

/** The students that are trained to choose each row's setting, and the baseline of the primary comparison. */
export function tuningJobs(profile: Profile, table: TableConfig, fingerprint: Fingerprint): readonly Job[] {
  const { tuning } = profile.config;
  if (tuning === null) return [];
  const evaluation = evaluationOf(profile, [tuning.data], tuning.rows);
  return Object.entries(table.rows).flatMap(([id, row]) =>
    triedOf(row, tuning.values, table).map((value): Job => {
      const run = profile.runOf(row, value === null ? {} : { [tuning.setting]: value });
      const training = trainingOf(run, row, tuning.seed, fingerprint);
      return { purpose: 'tuning', row: id, value, ...training, evaluation };
    }),
  );
}

/** Training seeds of a table. */
export const seedsOf = ({ config }: Profile, count = config.seeds.count): readonly number[] =>
  Array.from({ length: count }, (_, index) => config.seeds.first + index);

/**
 * Name of a table's folder. With other seeds or settings than the profile's it has another name, so that a try does not
 * replace the real one.
 */
export function tableId(profile: Profile, table: string, seeds?: number): string {
  const { config, overrides } = profile;
  const ofSeeds = seeds === undefined || seeds === config.seeds.count ? [] : [`${seeds}-seeds`];
  const ofSettings = overrides.length === 0 ? [] : [sha256(canonicalJson(overrides)).slice(0, 8)];
  return [table, ...ofSeeds, ...ofSettings].join('-');
}

/** The students of a table, seed by seed, so that a table that is stopped has whole seeds. */
export function tableJobs(
  profile: Profile,
  table: TableConfig,
  seeds: readonly number[],
  choices: Choices,
  fingerprint: Fingerprint,
): readonly Job[] {
  const setting = profile.config.tuning?.setting;
  const evaluation = evaluationOf(profile, table.data, profile.config.evaluation.rows);
  const rows = Object.entries(table.rows).map(([id, row]) => {
    const value = choices.get(id) ?? null;
    const run = profile.runOf(row, value === null || setting === undefined ? {} : { [setting]: value });
    const job = (seed: number): Job => {
      return { purpose: 'table', row: id, value, ...trainingOf(run, row, seed, fingerprint), evaluation };
    };
    return { row, job };
  });
  const fixed = rows.filter(({ row }) => isFixed(row)).map(({ job }) => job(profile.run.seed));
  const trained = rows.filter(({ row }) => !isFixed(row));
  return [...fixed, ...seeds.flatMap((seed) => trained.map(({ job }) => job(seed)))];
}
