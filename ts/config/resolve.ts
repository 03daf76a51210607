import { stringify } from 'yaml';
import { canonicalJson, sha256 } from '../common/hash.js';
import { checkConfig } from './checks/all.js';
import { type Composed, composeRun } from './compose.js';
import { ConfigError, type ConfigIssue, showLocation } from './errors.js';
import { findConfig } from './files.js';
import { Findings } from './findings.js';
import { resolveSources } from './locate.js';
import { distinct, parse } from './parse.js';
import { type RunConfig, run } from './schema.js';

/** A run configuration with nothing left open. */
export interface ResolvedConfig {
  readonly config: RunConfig;
  /** Names what is trained: `configHash`. */
  readonly hash: string;
  /** Files read, absolute, the given one first. */
  readonly files: readonly string[];
  /** What is allowed but probably not meant, one sentence each, with its place. */
  readonly warnings: readonly string[];
}

function refuse(findings: Findings): readonly string[] {
  if (findings.errors.length > 0) throw new ConfigError(distinct(findings.errors));
  return distinct(findings.warnings).map(
    (issue) => `${issue.at === null ? '' : `${showLocation(issue.at)}: `}${issue.path}: ${issue.message}`,
  );
}

/**
 * Settings younger than the first stored runs, with the value that says what all runs did before. There they are left
 * out of the hash, so that runs and stores which are there already keep their names. Never change a line.
 */
const YOUNG = {
  dataset: { long_prompts: 'cut' },
  worker: { rollout_rows: 0 },
} as const;

/** The settings but for those that stand at their old value. */
const withoutOld = (settings: object, old: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(settings).filter(([key, value]) => !(key in old && old[key] === value)));

/**
 * What a run trains, without where, how long and in whose sight. Of `worker` only what rounds otherwise: another chunk of
 * positions, form of the losses, or number of rows at a time.
 */
function identityOf({ tracking: _tracking, max_hours: _hours, worker, ...trained }: RunConfig) {
  const { position_chunk, loss_form, rollout_rows } = worker;
  const datasets = Object.entries(trained.data);
  return {
    ...trained,
    data: Object.fromEntries(datasets.map(([name, dataset]) => [name, withoutOld(dataset, YOUNG.dataset)])),
    worker: withoutOld({ position_chunk, loss_form, rollout_rows }, YOUNG.worker),
  };
}

/**
 * SHA-256 of the canonical JSON of what a configuration trains. Key order means nothing, but the order of stages does.
 * What it leaves out may be changed in a run's folder before the run is resumed.
 *
 * @param name - what the hash is of; by default the run's name
 */
export function configHash(config: RunConfig, name: string = config.name): string {
  return sha256(canonicalJson([{ ...identityOf(config), name }, Object.keys(config.stages)]));
}

/** A configuration that may be read before its files are there. */
export interface DraftConfig extends ResolvedConfig {
  /** What each file that is not there is for, and where it was looked for. */
  readonly missing: readonly ConfigIssue[];
}

/**
 * As `resolveConfig`, but files of data and models that are not there are told instead of refused: for a look at what
 * would be done.
 *
 * @throws ConfigError with every other problem found
 */
export function resolveDraft(
  reference: string,
  overrides: readonly string[] = [],
  cwd: string = process.cwd(),
): DraftConfig {
  return resolveWith(reference, overrides, cwd, () => []);
}

/**
 * Reads a run configuration: files and what they extend, defaults, overrides, methods; checks everything that
 * can be checked without starting a worker.
 *
 * @param reference - path of a file, or name of a shipped configuration (configs/runs)
 * @param overrides - `a.b.c=VALUE` with VALUE in YAML, later over earlier
 * @throws ConfigError with every problem found: place, key path, what is allowed, nearest known name
 */
export function resolveConfig(
  reference: string,
  overrides: readonly string[] = [],
  cwd: string = process.cwd(),
): ResolvedConfig {
  const { missing: _none, ...resolved } = resolveWith(reference, overrides, cwd, (missing) => missing);
  return resolved;
}

/** @param refused which of the missing files are errors */
function resolveWith(
  reference: string,
  overrides: readonly string[],
  cwd: string,
  refused: (missing: readonly ConfigIssue[]) => readonly ConfigIssue[],
): DraftConfig {
  const file = findConfig('runs', reference, { cwd, beside: cwd, at: null, key: '' });
  const composed: Composed = composeRun(file, overrides, cwd);
  const { tree, issues: missing } = resolveSources(composed.tree, cwd);
  const config: RunConfig = parse(run, tree, refused(missing));
  const findings = new Findings(tree);
  checkConfig(config, findings);
  const warnings = refuse(findings);
  return { config, hash: configHash(config), files: composed.files, warnings, missing };
}

/** A resolved configuration as YAML, which resolves to itself. */
export function configToYaml(config: RunConfig): string {
  return stringify(config, { lineWidth: 0, aliasDuplicateObjects: false });
}
