import { dirname } from 'node:path';
import { canonicalJson, sha256 } from '../common/hash.js';
import { ConfigError, type ConfigIssue, showLocation } from '../config/errors.js';
import { findConfig, readTree } from '../config/files.js';
import { Findings } from '../config/findings.js';
import { overridesOf } from '../config/overrides.js';
import { distinct, parse } from '../config/parse.js';
import { configHash, type ResolvedConfig, resolveConfig } from '../config/resolve.js';
import { type SweepConfig, sweep } from '../config/schema/sweep.js';
import type { RunConfig } from '../config/schema.js';
import { locate, type Tree } from '../config/tree.js';
import { storedStage } from '../store/stored_stage.js';
import { checkObjective, checkSpace } from './check.js';
import type { Objective } from './objective.js';
import { relocated, withOverride } from './overrides.js';
import { cornersOf, endsOf, type Parameters } from './space.js';

/** A sweep with nothing left open. */
export interface ResolvedSweep {
  /** As its file has it; `run` is an absolute path. */
  readonly config: SweepConfig;
  /** The run that is varied, `set` included. */
  readonly base: RunConfig;
  readonly objective: Objective;
  /** Names what is searched, and what it is judged by; the number of trials is not in it. */
  readonly hash: string;
  /** What is allowed but probably not meant, one sentence each. */
  readonly warnings: readonly string[];
  /** The whole run with a trial's parameters. @throws ConfigError where it cannot be run */
  readonly configure: (parameters: Parameters) => RunConfig;
  /** The same as a trial runs it: test sets by which trials are not judged are left out. */
  readonly configureTrial: (parameters: Parameters) => RunConfig;
}

interface Reading {
  readonly tree: Tree;
  readonly config: SweepConfig;
  /** The run with parameters and further overrides. */
  readonly configure: (parameters: Parameters, more?: readonly string[]) => ResolvedConfig;
}

function readSweep(reference: string, overrides: readonly string[], cwd: string): Reading {
  const file = findConfig('sweeps', reference, { cwd, beside: cwd, at: null, key: '' });
  const tree = overrides.reduce<Tree>(withOverride, readTree(file, cwd));
  const config: SweepConfig = parse(sweep, tree);
  const at = locate(tree, ['run']);
  const beside = at.line === null ? cwd : dirname(file);
  const run = findConfig('runs', config.run, { cwd, beside, at, key: 'run' });
  const fixed = overridesOf(config.set);
  return {
    tree,
    config: { ...config, run },
    configure: (parameters, more = []) =>
      resolveConfig(run, [...fixed, ...overridesOf(parameters), ...more], cwd),
  };
}

function resolveBase(reading: Reading): ResolvedConfig {
  try {
    return reading.configure({});
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(relocated(error, reading.tree, 'set', reading.config.set, ''), { cause: error });
  }
}

function refuse({ errors }: Findings): void {
  if (errors.length > 0) throw new ConfigError(distinct(errors));
}

const inWords = (parameters: Parameters) =>
  Object.entries(parameters)
    .map(([path, value]) => `${path}=${JSON.stringify(value)}`)
    .join(', ');

/** Issues of one point of the space: of the run that it makes, and of the objective there. */
function issuesAt(reading: Reading, parameters: Parameters): readonly ConfigIssue[] {
  const remark = ` (with ${inWords(parameters)})`;
  const { tree, config } = reading;
  try {
    const findings = new Findings(tree);
    checkObjective(config, reading.configure(parameters).config, findings);
    return findings.errors.map((issue) => ({ ...issue, message: `${issue.message}${remark}` }));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return relocated(error, tree, 'space', parameters, remark);
  }
}

/** One of the points where an issue occurs is enough. */
function firstOfEach(issues: readonly ConfigIssue[]): readonly ConfigIssue[] {
  const seen = new Map<string, ConfigIssue>();
  for (const issue of issues) {
    const key = `${issue.at === null ? '' : showLocation(issue.at)} ${issue.path}`;
    if (!seen.has(key)) seen.set(key, issue);
  }
  return [...seen.values()];
}

/** A dimension that leaves the judged student as it is makes all its trials one. */
function checkEffects(reading: Reading, corner: Parameters, findings: Findings): void {
  const { stage, space } = reading.config;
  for (const [path, dimension] of Object.entries(space)) {
    const ends = endsOf(dimension);
    const hashes = ends.map(
      (value) => storedStage(reading.configure({ ...corner, [path]: value }).config, stage).hash,
    );
    if (ends.length > 1 && new Set(hashes).size === 1)
      findings.error(['space', path], `changes nothing of what stage "${stage}" trains`);
  }
}

/**
 * Reads a sweep and its run, without a look at what its space holds: as `resolveSweep` otherwise. For a sweep that has
 * been checked before.
 */
export function readResolved(
  reference: string,
  overrides: readonly string[] = [],
  cwd: string = process.cwd(),
): ResolvedSweep {
  return resolveReading(readSweep(reference, overrides, cwd));
}

function resolveReading(reading: Reading): ResolvedSweep {
  const { tree, config, configure } = reading;
  const { config: base, warnings } = resolveBase(reading);
  const findings = new Findings(tree);
  checkSpace(config, base, findings);
  const objective = checkObjective(config, base, findings);
  refuse(findings);
  if (objective === null) throw new RangeError('an objective is missing for a reason');
  const kept = (base.stages[config.stage]?.data.test ?? []).filter((test) => test === objective.dataset);
  const tests = overridesOf({ [`stages.${config.stage}.data.test`]: kept });
  return {
    config,
    base,
    objective,
    hash: hashOf(config, base, objective),
    warnings: [...warnings, ...findings.warnings.map(({ path, message }) => `${path}: ${message}`)],
    configure: (parameters) => configure(parameters).config,
    configureTrial: (parameters) => configure(parameters, tests).config,
  };
}

/**
 * Reads a sweep, its run, and tries the corners of its space, so that what cannot be run is told before anything starts.
 *
 * @param reference - path of a file, or name of a shipped sweep (configs/sweeps)
 * @param overrides - `a.b=VALUE` with VALUE in YAML: keys of the sweep, or else settings of the run as under `set`
 * @throws ConfigError with every problem found: place, key path, what is allowed, nearest known name
 */
export function resolveSweep(
  reference: string,
  overrides: readonly string[] = [],
  cwd: string = process.cwd(),
): ResolvedSweep {
  const reading = readSweep(reference, overrides, cwd);
  const resolved = resolveReading(reading);
  const corners = cornersOf(reading.config.space);
  const issues = firstOfEach(corners.flatMap((corner) => issuesAt(reading, corner)));
  if (issues.length > 0) throw new ConfigError(issues);
  const findings = new Findings(reading.tree);
  checkEffects(reading, corners[0] ?? {}, findings);
  refuse(findings);
  return resolved;
}

function hashOf(
  { space, search, pruning, stage }: SweepConfig,
  base: RunConfig,
  objective: Objective,
): string {
  const { trials: _trials, ...chosen } = search;
  return sha256(canonicalJson([1, configHash(base), space, chosen, pruning, stage, objective]));
}
