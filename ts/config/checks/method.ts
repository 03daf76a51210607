import { isDeepStrictEqual } from 'node:util';
import type { Findings, Path } from '../findings.js';
import { OBJECTIVES, type ObjectiveFacts } from '../objectives.js';
import {
  type CriticConfig,
  DEFAULT_ADVERSARY,
  DEFAULT_ON_POLICY_WEIGHT,
  DEFAULT_PENALTY_TARGET,
  type MethodConfig,
  type Schedule,
  scheduleSpan,
  type TermConfig,
} from '../schema.js';
import { mixes } from '../sources.js';
import { checkGradient } from './gradient.js';
import { checkSources } from './sources.js';

/** A generalized JSD vanishes towards its ends like min(beta, 1 - beta); at the ends themselves it is a KL. */
const SMALLEST_JSD = 0.05;

type Span = readonly [low: number, high: number];

const spanOf = (value: number | Schedule): Span =>
  typeof value === 'number' ? [value, value] : scheduleSpan(value);

/** Parameters that an objective does not have, and values with which it means, says or is nothing. */
function checkParams(term: TermConfig, facts: ObjectiveFacts, path: Path, findings: Findings): void {
  for (const [param, value] of Object.entries(term.params)) {
    const at = [...path, 'params', param];
    findings.known(at, `parameter of ${term.objective}`, param, Object.keys(facts.params));
    const [least, greatest] = facts.ranges[param] ?? [-Infinity, Infinity];
    const [low, high] = spanOf(value);
    const beyond = low < least ? low : high > greatest ? high : null;
    if (beyond !== null) findings.error(at, `must be from ${least} to ${greatest}; it is ${beyond}`);
  }
  const { alpha = 1, beta = 1 } = { ...facts.params, ...term.params };
  if (term.objective === 'jsd') checkBeta(spanOf(beta), path, findings);
  if (term.objective === 'alpha_beta' && vanishes(spanOf(alpha), spanOf(beta))) {
    findings.error(
      [...path, 'params'],
      'alpha, beta and their sum must not be 0, nor pass it; the limits are forward_kl and reverse_kl',
    );
  }
}

function vanishes(alpha: Span, beta: Span): boolean {
  const sum: Span = [alpha[0] + beta[0], alpha[1] + beta[1]];
  return [alpha, beta, sum].some(([low, high]) => low <= 0 && high >= 0);
}

function checkBeta([low, high]: Span, path: Path, findings: Findings): void {
  const at = [...path, 'params', 'beta'];
  const range = `${SMALLEST_JSD} to ${1 - SMALLEST_JSD}`;
  if (low < high) {
    if (low < SMALLEST_JSD || high > 1 - SMALLEST_JSD)
      findings.warn(at, `the loss vanishes where beta comes near 0 or 1; keep it from ${range}`);
    return;
  }
  const share = Math.min(low, 1 - low);
  if (share <= 0 || share >= SMALLEST_JSD) return;
  findings.warn(
    at,
    `with beta ${low} the loss is about ${Number(share.toPrecision(2))} of ${low < 0.5 ? 'forward' : 'reverse'} KL; ` +
      `give ${low < 0.5 ? 0 : 1} for the KL itself, or a beta from ${range}`,
  );
}

function checkTerm(term: TermConfig, method: MethodConfig, path: Path, findings: Findings): void {
  const facts = OBJECTIVES[term.objective];
  findings.known([...path, 'part'], 'part', term.part, [...Object.keys(method.sources), 'all']);
  if (!findings.known([...path, 'objective'], 'objective', term.objective, Object.keys(OBJECTIVES))) return;
  if (facts === undefined) return;
  checkParams(term, facts, path, findings);
  checkGradient(term, method, path, findings);
  if (term.critic === null) {
    if (facts.critic) findings.error(path, `${term.objective} needs a critic; give \`critic: NAME\``);
    return;
  }
  if (!facts.critic) findings.error([...path, 'critic'], `${term.objective} takes no critic; leave it out`);
  if (!findings.known([...path, 'critic'], 'critic', term.critic, Object.keys(method.critics))) return;
  const critic = method.critics[term.critic];
  if (critic !== undefined && critic.part !== term.part) {
    findings.warn(
      [...path, 'critic'],
      `critic "${term.critic}" learns on part "${critic.part}", the term is on "${term.part}"`,
    );
  }
}

/** Whether a method cannot do without a teacher, and which key says so. */
export function teacherNeed(method: MethodConfig): Path | null {
  for (const [name, source] of Object.entries(method.sources)) {
    if (source.from === 'teacher') return ['sources', name, 'from'];
    if (mixes(source)) return ['sources', name, 'mixture'];
  }
  for (const [name, term] of Object.entries(method.terms)) {
    if (OBJECTIVES[term.objective]?.teacher) return ['terms', name, 'objective'];
  }
  for (const [name, critic] of Object.entries(method.critics)) {
    if (critic.features === 'teacher') return ['critics', name, 'features'];
  }
  return null;
}

function checkCritic(
  name: string,
  critic: CriticConfig,
  method: MethodConfig,
  path: Path,
  findings: Findings,
) {
  findings.known([...path, 'part'], 'part', critic.part, [...Object.keys(method.sources), 'all']);
  if (!Object.values(method.terms).some((term) => term.critic === name)) {
    findings.warn(path, 'no term uses this critic; it is trained for nothing');
  }
  if (critic.form === 'ratio') checkRatio(critic, method, path, findings);
  if (critic.head === 'policy') checkPolicyHead(critic, path, findings);
  const { trained, gradient_penalty, gradient_penalty_target, target_decay } = critic;
  const unlearned = 'no effect: the critic never learns (trained: false)';
  if (!trained && gradient_penalty > 0) findings.warn([...path, 'gradient_penalty'], unlearned);
  if (!trained && target_decay !== null) findings.warn([...path, 'target_decay'], unlearned);
  if (gradient_penalty === 0 && gradient_penalty_target !== DEFAULT_PENALTY_TARGET) {
    findings.warn([...path, 'gradient_penalty_target'], 'no effect: `gradient_penalty` is 0');
  }
}

function checkRatio(critic: CriticConfig, method: MethodConfig, path: Path, findings: Findings): void {
  if (critic.bound !== 'mixture' || critic.bound_value !== 2) {
    findings.error(
      [...path, 'form'],
      `a ratio is the best critic under the bound mixture, within ±2; set \`bound: mixture, bound_value: 2\` ` +
        `(now ${critic.bound}, ${critic.bound_value}), or \`form: free\``,
    );
  }
  if (critic.head !== 'policy' && critic.trained && method.adversary.warmup_steps === 0) {
    findings.warn(
      [...path, 'form'],
      'a ratio begins with values that are far from 0 and wrong; take `head: policy`, which does not, or give it turns of its own first, as `adversary.warmup_steps: 20`',
    );
  }
}

/** It gives logits of a guess, from states as they are, and begins with weights of 0. */
function checkPolicyHead(critic: CriticConfig, path: Path, findings: Findings): void {
  if (!critic.trained && critic.features === 'teacher')
    findings.warn(
      [...path, 'trained'],
      'no effect: from the teacher’s states the head policy begins with 0 everywhere',
    );
  if (critic.form !== 'ratio') {
    findings.error(
      [...path, 'head'],
      'policy gives a guess at the student; set `form: ratio`, or another head',
    );
  }
  if (critic.spectral_norm)
    findings.error([...path, 'spectral_norm'], 'the head policy takes none; leave it out');
  if (critic.gradient_penalty > 0)
    findings.error([...path, 'gradient_penalty'], 'the head policy takes none; leave it out');
}

function checkAdversary({ adversary, critics }: MethodConfig, path: Path, findings: Findings): void {
  if (Object.values(critics).some(({ trained }) => trained)) return;
  const none = Object.keys(critics).length === 0;
  if (adversary.warmup_steps > 0) {
    findings.error(
      [...path, 'warmup_steps'],
      none
        ? 'the method has no critic to warm up'
        : 'no critic learns (trained: false), so there is none to warm up',
    );
  }
  const why = none ? 'the method has no critic' : 'no critic learns (trained: false)';
  for (const key of ['turns', 'lr_ratio', 'clip_norm', 'optimizer'] as const) {
    if (isDeepStrictEqual(adversary[key], DEFAULT_ADVERSARY[key])) continue;
    findings.warn([...path, key], `no effect: ${why}`);
  }
}

function checkFactor({ on_policy_weight, terms }: MethodConfig, path: Path, findings: Findings): void {
  if (isDeepStrictEqual(on_policy_weight, DEFAULT_ON_POLICY_WEIGHT)) return;
  if (Object.values(terms).some(({ scale }) => scale !== 'none')) return;
  findings.warn(path, 'no effect: no term has a `scale`');
}

/** Checks what a schema cannot see: names that refer to each other, shares, needs of objectives. */
export function checkMethod(method: MethodConfig, path: Path, findings: Findings): void {
  checkSources(method, [...path, 'sources'], findings);
  for (const [name, critic] of Object.entries(method.critics)) {
    checkCritic(name, critic, method, [...path, 'critics', name], findings);
  }
  if (Object.keys(method.terms).length === 0) findings.error([...path, 'terms'], 'a method needs a term');
  for (const [name, term] of Object.entries(method.terms)) {
    checkTerm(term, method, [...path, 'terms', name], findings);
  }
  const generates = Object.values(method.sources).some(({ from }) => from !== 'dataset');
  const { epochs, minibatches } = method.iteration;
  if (!generates && epochs * minibatches > 1) {
    findings.warn([...path, 'iteration'], 'no effect: the method generates nothing');
  }
  checkFactor(method, [...path, 'on_policy_weight'], findings);
  checkAdversary(method, [...path, 'adversary'], findings);
}
