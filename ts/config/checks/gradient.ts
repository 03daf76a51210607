import type { Findings, Path } from '../findings.js';
import { OBJECTIVES } from '../objectives.js';
import {
  constantValue,
  DEFAULT_RETURNS,
  type MethodConfig,
  type SourceConfig,
  type StageConfig,
  scheduleEnds,
  type TermConfig,
} from '../schema.js';
import { isDrawnAhead } from '../sources.js';

function sourcesOf(part: string, method: MethodConfig): readonly (readonly [string, SourceConfig])[] {
  return Object.entries(method.sources).filter(([name]) => part === 'all' || part === name);
}

/** At gamma 0 the factor gamma^t is 0 of all tokens but the first. */
function checkDiscount({ gamma, discount, gradient }: TermConfig, path: Path, findings: Findings): void {
  if (gamma > 0 || discount === 'dropped') return;
  const instead = gradient === 'token' ? 'give gamma: 1' : 'give discount: dropped';
  findings.warn([...path, 'gamma'], `0: the first token of a response alone counts; ${instead}`);
}

/** Keys that only policy gradients read. */
function checkUnused(
  { gamma, discount, gradient, returns }: TermConfig,
  path: Path,
  findings: Findings,
): void {
  if (gradient === 'token' && JSON.stringify(returns) !== JSON.stringify(DEFAULT_RETURNS)) {
    findings.warn([...path, 'returns'], 'no effect with gradient: token; give return or reinforce');
  }
  if (discount === 'dropped' && (gradient === 'token' || gamma === 1)) {
    const why =
      gamma === 1 ? 'gamma is 1' : 'with gradient: token there are no returns, so gamma has none either';
    findings.warn([...path, 'discount'], `no effect: ${why}`);
  }
}

/** The distribution of states is the student's only on responses that the student draws, every time. */
function checkRows(term: TermConfig, method: MethodConfig, path: Path, findings: Findings): void {
  for (const [name, { from, probability }] of sourcesOf(term.part, method)) {
    if (from !== 'student') {
      findings.error(
        [...path, 'part'],
        `gradient ${term.gradient} needs responses that the student draws; those of "${name}" are from the ${from}`,
      );
    } else if (constantValue(probability) !== 1) {
      findings.error(
        [...path, 'gradient'],
        `${term.gradient} needs responses that the student draws; "${name}" has the dataset's own in some steps: its probability is not constantly 1`,
      );
    }
  }
}

/** Where the student draws y from π_θ, the mean of ∇ log π_θ(y) is 0. */
function checkTarget(term: TermConfig, method: MethodConfig, path: Path, findings: Findings): void {
  if (!OBJECTIVES[term.objective]?.target) return;
  for (const [name, { from, probability, mixture }] of sourcesOf(term.part, method)) {
    if (from !== 'student' || constantValue(mixture) !== 0 || constantValue(probability) === 0) continue;
    findings.error(
      [...path, 'part'],
      `${term.objective} on responses that the student draws itself ("${name}") has a mean gradient of 0: it is noise alone; ` +
        "take the teacher's or the dataset's responses, or an objective that has a teacher",
    );
  }
}

function checkCosts(
  { gradient, objective, params, returns }: TermConfig,
  path: Path,
  findings: Findings,
): void {
  const facts = OBJECTIVES[objective];
  if (facts === undefined) return;
  if (facts.target) {
    findings.error(
      [...path, 'gradient'],
      `${objective} is about the next token, not about the state: it is no cost to hand back; give gradient: token`,
    );
    return;
  }
  if (gradient !== 'reinforce' && returns.costs !== 'sampled') return;
  const at = gradient === 'reinforce' ? [...path, 'gradient'] : [...path, 'returns', 'costs'];
  const instead = gradient === 'reinforce' ? 'give gradient: return' : 'give costs: exact';
  if (!facts.sampled) {
    const having = Object.keys(OBJECTIVES).filter((name) => OBJECTIVES[name]?.sampled);
    findings.error(
      at,
      `${objective} has no estimate at one token; ${instead}, or an objective that has (${having.join(', ')})`,
    );
  } else if ((params.temperature ?? 1) !== 1) {
    findings.error(at, `the estimate of ${objective} is for temperature 1; ${instead}, or that temperature`);
  }
}

function checkReturns({ gamma, gradient, returns }: TermConfig, path: Path, findings: Findings): void {
  const { norm, baseline, importance, ratio_limit, clip } = returns;
  const at = [...path, 'returns'];
  if (clip > 0 && importance !== 'token') {
    findings.error([...at, 'clip'], 'clips the ratio of a token; it needs importance: token');
  }
  if (ratio_limit > 0 && importance === 'none') {
    findings.error([...at, 'ratio_limit'], 'there is no weight to limit; give importance: token or sequence');
  }
  if (gamma === 0) {
    // No later costs come in, so nothing pays for ending early.
    if (norm === 'length')
      findings.warn(
        [...at, 'norm'],
        'length: at gamma 0 it divides the one cost of a token by how many follow; give none',
      );
    return;
  }
  for (const [key, off, instead] of [
    ['norm', norm === 'none', 'length'],
    ['baseline', baseline === 'none', 'leave_one_out or whiten'],
  ] as const) {
    if (!off) continue;
    findings.warn(
      [...at, key],
      `none: with ${gradient} a sum of costs pays for ending early, and responses may collapse; give ${instead}`,
    );
  }
}

/** Refuses returns without weights where responses may be another distribution's than the current student's. */
function requireWeights(term: TermConfig, reasons: readonly string[], path: Path, findings: Findings): void {
  if (term.gradient === 'token' || term.returns.importance !== 'none' || reasons.length === 0) return;
  findings.error(
    [...path, 'returns', 'importance'],
    `responses are not drawn from the current student as it is (${reasons.join(', ')}); give importance: token or sequence`,
  );
}

function staleReasons(term: TermConfig, method: MethodConfig): readonly string[] {
  const sources = sourcesOf(term.part, method);
  const { minibatches, epochs } = method.iteration;
  const reasons = [
    ['a mixture with the teacher', sources.some(([, { mixture }]) => constantValue(mixture) !== 0)],
    ['replay', sources.some(([, { replay }]) => replay !== null)],
    ['drawing a step ahead', sources.some(([, source]) => isDrawnAhead(source, method.iteration))],
    [`an iteration of ${minibatches * epochs} steps`, minibatches * epochs > 1],
  ] as const;
  return reasons.flatMap(([reason, holds]) => (holds ? [reason] : []));
}

/** Checks how a term's gradient goes through the distribution of states, as far as the method tells. */
export function checkGradient(term: TermConfig, method: MethodConfig, path: Path, findings: Findings): void {
  checkUnused(term, path, findings);
  checkDiscount(term, path, findings);
  checkTarget(term, method, path, findings);
  if (term.gradient === 'token') return;
  checkRows(term, method, path, findings);
  checkCosts(term, path, findings);
  checkReturns(term, path, findings);
  requireWeights(term, staleReasons(term, method), path, findings);
}

/** Sampling that keeps some tokens from being drawn: an importance weight is 0/0 there, and mends nothing. */
function truncations({
  sampling,
}: StageConfig['rollout']): readonly (keyof StageConfig['rollout']['sampling'])[] {
  const keys = [
    ['top_p', sampling.top_p < 1],
    ['top_k', sampling.top_k > 0],
    ['no_repeat_ngram_size', sampling.no_repeat_ngram_size > 0],
    ['suppress_eos', sampling.suppress_eos],
  ] as const;
  return keys.flatMap(([key, holds]) => (holds ? [key] : []));
}

/** Checks policy gradients against how the stage draws its responses. */
export function checkSampledFrom(stage: StageConfig, path: Path, findings: Findings): void {
  const { sampling, temperature } = stage.rollout;
  const fixed = temperature === null ? sampling.temperature : constantValue(temperature);
  // A step schedule comes ever nearer to 0, and never there.
  const reached = temperature === null ? [sampling.temperature] : scheduleEnds(temperature, 1);
  const terms = Object.entries(stage.method.terms).filter(([, { gradient }]) => gradient !== 'token');
  for (const [name, term] of terms) {
    const at = [...path, 'method', 'terms', name];
    requireWeights(term, fixed === 1 ? [] : ['a temperature other than 1'], at, findings);
    for (const key of truncations(stage.rollout)) {
      findings.error(
        [...path, 'rollout', 'sampling', key],
        `keeps tokens from being drawn that the student would give, which no importance weight makes up for; leave it out with gradient: ${term.gradient} (term "${name}")`,
      );
    }
    if (reached.includes(0)) {
      findings.error(
        [...at, 'gradient'],
        `${term.gradient} needs responses that are drawn; at temperature 0 they are greedy`,
      );
    }
  }
}
