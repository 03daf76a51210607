import { composeProfile, folderOf } from '../config/compose.js';
import { ConfigError, type ConfigIssue } from '../config/errors.js';
import { findConfig } from '../config/files.js';
import { Findings } from '../config/findings.js';
import { overridesOf } from '../config/overrides.js';
import { parse } from '../config/parse.js';
import { resolveDraft } from '../config/resolve.js';
import { haveSameRows } from '../config/same_rows.js';
import {
  isStageReference,
  type ProfileConfig,
  profile as profileSchema,
  type RowConfig,
  type RunConfig,
  type TableConfig,
} from '../config/schema.js';
import { locate } from '../config/tree.js';

/** A profile whose every row has been resolved once. */
export interface Profile {
  readonly config: ProfileConfig;
  /** The run as the profile lays it out, without any row's settings. */
  readonly run: RunConfig;
  /** What was laid over the profile's settings. */
  readonly overrides: readonly string[];
  /** Files of data and models that are not there. */
  readonly missing: readonly ConfigIssue[];
  /** The run with settings of one stage laid over it, which is then trained by a row. */
  readonly runOf: (row: RowConfig, chosen?: Readonly<Record<string, unknown>>) => RunConfig;
}

/** Teachers and starts are trained once, under their own names, as every row's parents are. */
export const isFixed = ({ group }: RowConfig): boolean => group === 'teacher' || group === 'start';

/** A row with the first value that is tried of it, so that a setting it does not have shows before anything starts. */
function triedFirst({ tuning }: ProfileConfig, row: RowConfig): Readonly<Record<string, unknown>> {
  const [value] = row.tune && !isFixed(row) ? (tuning?.values ?? []) : [];
  return tuning === null || value === undefined ? {} : { [tuning.setting]: value };
}

/** A stage and the stages it takes models from. */
function withParents(run: RunConfig, stage: string): readonly string[] {
  const { student, teacher } = run.stages[stage] ?? { student: '', teacher: null };
  const parents = [student, teacher].flatMap((reference) =>
    isStageReference(reference) ? [reference.stage] : [],
  );
  return [stage, ...parents.flatMap((parent) => withParents(run, parent))];
}

/**
 * What a row changes in its stage. Test sets are evaluated by the reproduction, and decide nothing in training. Stages
 * that it does not need are left out: resolving all of them for each row took most of the time.
 */
function rowOverrides(
  { stage, set }: RowConfig,
  chosen: Readonly<Record<string, unknown>>,
  run: RunConfig,
): readonly string[] {
  const needed = withParents(run, stage);
  const others = Object.keys(run.stages).filter((name) => !needed.includes(name));
  const tests = Object.fromEntries(needed.map((name) => [`${name}.data.test`, []]));
  return [
    ...overridesOf(Object.fromEntries(others.map((name) => [name, null])), 'stages.'),
    ...overridesOf(tests, 'stages.'),
    ...overridesOf({ ...set, ...chosen }, `stages.${stage}.`),
  ];
}

/** Datasets that students of a table are trained on, or by which they or their settings are chosen. */
function seenBefore({ rows }: Pick<TableConfig, 'rows'>, { run, config }: Pick<Profile, 'run' | 'config'>) {
  const ofStages = Object.values(rows).flatMap(({ stage }) => {
    const { train, validation } = run.stages[stage]?.data ?? { train: null, validation: null };
    return [train, validation];
  });
  return [config.tuning?.data ?? null, ...ofStages].filter((name) => name !== null);
}

/** Names that are taken beside the tables' folders, or that are those of a table with other seeds or settings. */
const NOT_A_TABLE = /^(stages|evaluations|workers|lock)$|-\d+-seeds$|-[0-9a-f]{8}$/;

const NOT_GREEDY = 'nothing is decoded greedily; set evaluation.greedy';

function checkTable(
  key: string,
  { rows, data, primary }: TableConfig,
  { run, config }: Pick<Profile, 'run' | 'config'>,
  findings: Findings,
): void {
  const at = ['tables', key];
  if (NOT_A_TABLE.test(key))
    findings.error(
      at,
      `"${key}" would be a folder that a reproduction has for something else; give another name`,
    );
  for (const [index, dataset] of data.entries()) {
    if (!findings.known([...at, 'data', index], 'dataset', dataset, Object.keys(run.data))) continue;
    const seen = seenBefore({ rows }, { run, config }).find((name) => haveSameRows(run.data, dataset, name));
    if (seen !== undefined)
      findings.error(
        [...at, 'data', index],
        `"${dataset}" has the rows of "${seen}", by which students are trained or chosen: nothing may be tested on it`,
      );
  }
  for (const [id, row] of Object.entries(rows))
    findings.known([...at, 'rows', id, 'stage'], 'stage', row.stage, Object.keys(run.stages));
  if (primary === null) return;
  findings.known([...at, 'primary', 'row'], 'row', primary.row, Object.keys(rows));
  findings.known([...at, 'primary', 'data'], 'test set', primary.data, data);
  if (primary.decoding === 'greedy' && !config.evaluation.greedy)
    findings.error([...at, 'primary', 'decoding'], NOT_GREEDY);
  if (rows[primary.row]?.group === 'baseline')
    findings.error(
      [...at, 'primary', 'row'],
      `"${primary.row}" is one of the baselines; say \`group: ours\``,
    );
  if (config.tuning === null)
    findings.error(
      [...at, 'primary'],
      'the best baseline is chosen on the tuning set, and there is no `tuning`',
    );
}

/** Every dataset, stage and row that the profile names is there; seeds do not meet. */
function checkProfile(found: Pick<Profile, 'run' | 'config'>, findings: Findings): void {
  const { config, run } = found;
  for (const [key, table] of Object.entries(config.tables)) checkTable(key, table, found, findings);
  for (const model of Object.keys(config.parameters))
    findings.known(['parameters', model], 'model', model, Object.keys(run.models));
  if (config.reference?.decoding === 'greedy' && !config.evaluation.greedy)
    findings.error(['reference', 'decoding'], NOT_GREEDY);
  if (config.tuning === null) return;
  findings.known(['tuning', 'data'], 'dataset', config.tuning.data, Object.keys(run.data));
  const { first } = config.seeds;
  if (config.tuning.seed >= first)
    findings.error(
      ['tuning', 'seed'],
      `must be below the first seed of the tables, ${first}: those must be fresh`,
    );
}

/**
 * Reads a profile with what it extends, and resolves the run of each of its rows, so that a mistake in any shows before
 * anything starts. Files that are not there are told, not refused: a profile can be looked at before its data are.
 *
 * @param overrides of the run, `a.b.c=VALUE`, over those of the profile
 * @throws ConfigError
 */
export function resolveProfile(
  reference: string,
  overrides: readonly string[] = [],
  cwd: string = process.cwd(),
): Profile {
  const file = findConfig('reproduce', reference, { cwd, beside: cwd, at: null, key: '' });
  const { tree } = composeProfile(file, cwd);
  const config: ProfileConfig = parse(profileSchema, tree);
  const at = locate(tree, ['run']);
  const run = findConfig('runs', config.run, { cwd, beside: folderOf(at, cwd), at, key: 'run' });
  const laid = [...overridesOf(config.set), ...overrides];
  const { config: base, missing } = resolveDraft(run, laid, cwd);
  const findings = new Findings(tree);
  checkProfile({ config, run: base }, findings);
  if (findings.errors.length > 0) throw new ConfigError(findings.errors);
  const runOf: Profile['runOf'] = (row, chosen = {}) =>
    resolveDraft(run, [...laid, ...rowOverrides(row, chosen, base)], cwd).config;
  for (const { rows } of Object.values(config.tables))
    for (const row of Object.values(rows)) runOf(row, triedFirst(config, row));
  return { config, run: base, overrides, missing, runOf };
}
