import { evaluatedSets } from '../config/evaluated.js';
import type { Findings, Path } from '../config/findings.js';
import { suggestion } from '../config/nearest.js';
import type { SweepConfig } from '../config/schema/sweep.js';
import { type RunConfig, run, type StageConfig } from '../config/schema.js';
import { isNamed, keysOf, shapesAt } from '../config/shape.js';
import { isSeenInTraining, isTestSet, type Objective, objectiveOf } from './objective.js';
import { domainsOf } from './space.js';

const isMapping = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Whether the run may have a key that it lacks: one that is absent unless given, or is below a null. A name may be added
 * with all that it stands for; what lies below one that is not there would lack the rest.
 */
function mayHave(path: readonly string[], isLast: boolean): boolean {
  return shapesAt(run, path).length > 0 && (isLast || !isNamed(shapesAt(run, path.slice(0, -1))));
}

/** Where the entries are that these are laid under. */
const DEFAULTS: ReadonlyMap<string, 'stages' | 'data'> = new Map([
  ['stage_defaults', 'stages'],
  ['data_defaults', 'data'],
]);

/** The run that a sweep's folder keeps has its defaults in every entry already: varied, they would change nothing. */
function checkDefaults(path: string, base: RunConfig, findings: Findings): boolean {
  const [first = '', ...rest] = path.split('.');
  const section = DEFAULTS.get(first);
  if (section === undefined) return true;
  const instead = Object.keys(base[section]).map((entry) => [section, entry, ...rest].join('.'));
  findings.error(
    ['space', path],
    `a sweep varies the run with its ${first} filled in; name one of ${instead.join(', ')}`,
  );
  return false;
}

/** A path of the space must be one of the run: another would be refused anyway, but later and less clearly. */
function checkPath(path: string, base: RunConfig, findings: Findings): void {
  if (!checkDefaults(path, base, findings)) return;
  const keys = path.split('.');
  let here: unknown = base;
  for (const [index, key] of keys.entries()) {
    const known = isMapping(here) ? here : {};
    const above = keys.slice(0, index);
    if (!Object.hasOwn(known, key) && !mayHave([...above, key], index === keys.length - 1)) {
      const words = new Set([...Object.keys(known), ...keysOf(shapesAt(run, above))]);
      findings.error(
        ['space', path],
        `${above.join('.') || 'the run'} has no "${key}"${suggestion(key, [...words])}`,
      );
      return;
    }
    here = known[key];
  }
}

const holds = (outer: string, inner: string) => inner === outer || inner.startsWith(`${outer}.`);

function checkOverlaps({ space, set }: SweepConfig, findings: Findings): void {
  const paths = Object.keys(space);
  paths.forEach((path, index) => {
    const other = paths.slice(0, index).find((earlier) => holds(path, earlier) || holds(earlier, path));
    if (other !== undefined) findings.error(['space', path], `overlaps with ${other}; leave one out`);
    const fixed = Object.keys(set).find((fixed) => holds(path, fixed) && fixed !== path);
    if (fixed !== undefined)
      findings.error(
        ['space', path],
        `what \`set\` says of ${fixed} would be varied with it; vary one of them`,
      );
  });
}

function checkSearch({ search, space }: SweepConfig, findings: Findings): void {
  if (search.kind !== 'grid') {
    if (search.trials === null)
      findings.error(['search', 'trials'], `${search.kind} needs a number of trials`);
    return;
  }
  for (const [path, domain] of Object.entries(domainsOf(space)))
    if (domain.kind === 'float')
      findings.error(['space', path], 'a grid needs {values: […]} or {int: …}, not a range of numbers');
}

/** What of the sweep can be told from its file and the run it varies. */
export function checkSpace(config: SweepConfig, base: RunConfig, findings: Findings): void {
  for (const path of Object.keys(config.space)) checkPath(path, base, findings);
  checkOverlaps(config, findings);
  checkSearch(config, findings);
}

const AT: Path = ['objective'];

/** A sweep that chooses by a test set leaves nothing to measure its choice on: only on request. */
function checkDataset(config: SweepConfig, base: RunConfig, stage: StageConfig, findings: Findings): boolean {
  const { dataset: given, allow_test: allowed } = config.objective;
  const dataset = given ?? stage.data.validation;
  const at = given === null ? AT : [...AT, 'dataset'];
  if (dataset === null) {
    findings.error(at, `stage "${config.stage}" has no validation set; set its data.validation`);
    return false;
  }
  const known = evaluatedSets(stage.data);
  if (!findings.known(at, `dataset of stage "${config.stage}"`, dataset, known)) return false;
  if (!isTestSet(dataset, stage, base.data)) return false;
  const consequence = `"${dataset}" holds the rows of a test set: what is chosen by them cannot be measured on them`;
  if (allowed) findings.warn(at, `${consequence}; report such figures as chosen`);
  else
    findings.error(
      at,
      `${consequence}. Judge on the stage's validation set, or say \`allow_test: true\` if you mean it`,
    );
  return true;
}

function checkMetric(objective: Objective, stage: StageConfig, findings: Findings): void {
  const { evaluation } = stage;
  const { metric, decoding } = objective;
  const measured = decoding === 'teacher_forced';
  const key = measured ? 'measure' : 'metrics';
  if (!(evaluation[key] as readonly string[]).includes(metric))
    findings.error(
      [...AT, 'metric'],
      `the stage does not evaluate it (${decoding}); put it into evaluation.${key} of the stage`,
    );
  else if (measured && objective.dataset !== stage.data.validation)
    findings.error([...AT, 'metric'], `${metric} is measured on the validation set alone`);
  if (decoding === 'sampled' && evaluation.seeds.length === 0)
    findings.error([...AT, 'decoding'], 'the stage has no decoding seeds');
  if (decoding === 'greedy' && !evaluation.greedy)
    findings.error([...AT, 'decoding'], 'the stage does not decode greedily; set its evaluation.greedy');
}

function checkPruning(
  config: SweepConfig,
  objective: Objective,
  stage: StageConfig,
  findings: Findings,
): void {
  const { pruning } = config;
  if (pruning === null) return;
  if (!isSeenInTraining(objective, stage)) {
    const why =
      stage.evaluation.every === 0
        ? "the stage's evaluation.every is 0"
        : `evaluations during training are of the validation set, sampled where there are seeds; this objective is ${objective.decoding} on ${objective.dataset}`;
    findings.error(['pruning'], `trials cannot be watched: ${why}`);
    return;
  }
  const { every } = stage.evaluation;
  const first = Math.ceil(pruning.min_steps / every) * every;
  if (stage.training.steps !== null && first >= stage.training.steps)
    findings.warn(
      ['pruning', 'min_steps'],
      `no effect: the first evaluation after them is that of step ${first}, of ${stage.training.steps}`,
    );
}

/**
 * Checks that the stage is evaluated by what trials are judged by.
 *
 * @returns the objective, or null where there is an error
 */
export function checkObjective(config: SweepConfig, base: RunConfig, findings: Findings): Objective | null {
  const before = findings.errors.length;
  const stage = base.stages[config.stage];
  if (stage === undefined) {
    findings.known(['stage'], 'stage', config.stage, Object.keys(base.stages));
    return null;
  }
  const testSet = checkDataset(config, base, stage, findings);
  const objective = objectiveOf(config.objective, stage, testSet);
  if (findings.errors.length === before) checkMetric(objective, stage, findings);
  if (findings.errors.length === before) checkPruning(config, objective, stage, findings);
  return findings.errors.length > before ? null : objective;
}
