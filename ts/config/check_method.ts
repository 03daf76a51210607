import type { Findings, Path } from './findings.js';
import { OBJECTIVES } from './objectives.js';
import type { MethodConfig, TermConfig } from './schema.js';

/** Rounding of decimal shares such as 0.1 + 0.2 + 0.7. */
const SHARE_TOLERANCE = 1e-6;

function checkSources(sources: MethodConfig['sources'], path: Path, findings: Findings): void {
  const shares = Object.values(sources).map(({ share }) => share);
  const sum = shares.reduce((total, share) => total + share, 0);
  if (shares.length === 0) findings.error(path, 'a method needs at least one source');
  else if (Math.abs(sum - 1) > SHARE_TOLERANCE) {
    findings.error(path, `the shares must sum to 1; they sum to ${Number(sum.toPrecision(6))}`);
  }
  if ('all' in sources)
    findings.error([...path, 'all'], '"all" stands for all parts; name this one otherwise');
}

/** A generalized JSD vanishes towards its ends like min(beta, 1 - beta); at the ends themselves it is a KL. */
const SMALLEST_JSD = 0.05;

function checkBeta(term: TermConfig, path: Path, findings: Findings): void {
  const beta = term.objective === 'jsd' ? (term.params.beta ?? 0.5) : 0.5;
  const share = Math.min(beta, 1 - beta);
  if (share <= 0 || share >= SMALLEST_JSD) return;
  findings.warn(
    [...path, 'params', 'beta'],
    `with beta ${beta} the loss is about ${Number(share.toPrecision(2))} of ${beta < 0.5 ? 'forward' : 'reverse'} KL; ` +
      `give ${beta < 0.5 ? 0 : 1} for the KL itself, or a beta from ${SMALLEST_JSD} to ${1 - SMALLEST_JSD}`,
  );
}

function checkTerm(term: TermConfig, method: MethodConfig, path: Path, findings: Findings): void {
  const facts = OBJECTIVES[term.objective];
  findings.known([...path, 'part'], 'part', term.part, [...Object.keys(method.sources), 'all']);
  if (!findings.known([...path, 'objective'], 'objective', term.objective, Object.keys(OBJECTIVES))) return;
  if (facts === undefined) return;
  for (const param of Object.keys(term.params)) {
    findings.known([...path, 'params', param], `parameter of ${term.objective}`, param, facts.params);
  }
  checkBeta(term, path, findings);
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
  }
  for (const [name, term] of Object.entries(method.terms)) {
    if (OBJECTIVES[term.objective]?.teacher) return ['terms', name, 'objective'];
  }
  for (const [name, critic] of Object.entries(method.critics)) {
    if (critic.features === 'teacher') return ['critics', name, 'features'];
  }
  return null;
}

/** Checks what a schema cannot see: names that refer to each other, shares, needs of objectives. */
export function checkMethod(method: MethodConfig, path: Path, findings: Findings): void {
  checkSources(method.sources, [...path, 'sources'], findings);
  const parts = [...Object.keys(method.sources), 'all'];
  for (const [name, critic] of Object.entries(method.critics)) {
    const at = [...path, 'critics', name];
    findings.known([...at, 'part'], 'part', critic.part, parts);
    if (!Object.values(method.terms).some((term) => term.critic === name)) {
      findings.warn(at, 'no term uses this critic; it is trained for nothing');
    }
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
  if (Object.keys(method.critics).length === 0 && method.adversary.warmup_steps > 0) {
    findings.error([...path, 'adversary', 'warmup_steps'], 'the method has no critic to warm up');
  }
}
