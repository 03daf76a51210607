import { present } from '../common/present.js';
import { streamSeed } from '../common/random.js';
import { OBJECTIVES } from '../config/objectives.js';
import type { SizedStagePlan, TermPlan } from '../plan/types.js';
import { inCriticWarmup, isDone } from './clock.js';
import { limitsOf } from './micro_batches.js';
import { changingAt, read } from './read.js';
import { partsAt, releasedAt, rolloutsAt } from './rollouts.js';
import { originsOf } from './sources.js';
import { turnsAt } from './state.js';
import type {
  CriticStepPlan,
  ScorePlan,
  StageState,
  StepPlan,
  StudentStepPlan,
  WeightedTerm,
} from './types.js';
import { startValue } from './value.js';

/** While critics warm up, the student's clock stands at 0 and its own warm-up does not hold them back. */
function studentLr(plan: SizedStagePlan, state: StageState): number {
  return inCriticWarmup(plan, state) ? startValue(plan.training.lr) : read(plan, state, 'training.lr');
}

const hasDropout = ({ training }: SizedStagePlan) => (training.lora?.dropout ?? 0) > 0;

function planScore(plan: SizedStagePlan, warmup: boolean): ScorePlan | null {
  const needed =
    plan.critics.length > 0 ||
    plan.terms.some(({ objective }) => present(OBJECTIVES[objective], `objective ${objective}`).teacher);
  const teacher = plan.teacher !== null && needed;
  const ahead =
    plan.critics.some(({ trained }) => trained) || plan.terms.some(({ gradient }) => gradient !== 'token');
  if (!teacher && !ahead) return null;
  // The graph of one pass can serve critics and student when the student's step has no dropout, which scoring never
  // has. The worker keeps it only of a batch that is one micro-batch: under a token budget it alone knows how many.
  const shared = warmup || hasDropout(plan) ? 'values' : 'graph';
  return { teacher, student: ahead ? shared : 'none' };
}

function planCritics(plan: SizedStagePlan, state: StageState): CriticStepPlan | null {
  const turns = turnsAt(plan, state);
  if (turns === 0) return null;
  const { lr_ratio, clip_norm } = plan.adversary;
  const trained = plan.critics.filter((critic) => critic.trained);
  return {
    turns,
    lr: lr_ratio * studentLr(plan, state),
    clip_norm,
    updates: trained.map(({ name, part }) => ({ critic: name, part })),
  };
}

function weigh({ scale, ...term }: TermPlan, plan: SizedStagePlan, state: StageState): WeightedTerm {
  const onPolicy = read(plan, state, 'on_policy_weight');
  const scales = { none: 1, on_policy_weight: onPolicy, off_policy_weight: 1 - onPolicy };
  const params = Object.entries(term.params).map(([param, value]) => [
    param,
    typeof value === 'number' ? value : read(plan, state, `terms.${term.name}.params.${param}`),
  ]);
  const weight = read(plan, state, `terms.${term.name}.weight`) * scales[scale];
  return { ...term, params: Object.fromEntries(params), weight };
}

function planStudent(plan: SizedStagePlan, state: StageState): StudentStepPlan {
  return {
    lr: studentLr(plan, state),
    clip_norm: plan.training.clip_norm,
    ...(hasDropout(plan) ? { dropout_seed: streamSeed(plan.adapterSeeds.dropout, state.step) } : {}),
    terms: plan.terms.map((term) => weigh(term, plan, state)),
  };
}

/** Whether something that happens after every `every` steps happens after this 0-based step; 0 is never. */
const dueAfter = (step: number, every: number) => every > 0 && (step + 1) % every === 0;

/**
 * Decides the next step of a stage, wholly: a pure function of plan and state.
 *
 * @throws RangeError when the stage is done
 */
export function planStep(plan: SizedStagePlan, state: StageState): StepPlan {
  if (isDone(plan, state)) throw new RangeError(`stage ${plan.name} has only ${plan.steps} steps`);
  const { step } = state;
  const warmup = inCriticWarmup(plan, state);
  const last = step === plan.steps - 1;
  const { evaluation, checkpoints, diagnostics } = plan;
  const parts = partsAt(plan, state);
  const evaluates = plan.data.validation !== null && evaluation.every > 0 && !warmup;
  return {
    step,
    phase: warmup ? 'critic_warmup' : 'train',
    batch: `step:${step}/batch`,
    rollouts: rolloutsAt(plan, state),
    parts,
    limits: limitsOf(plan.training),
    origins: originsOf(parts),
    schedules: changingAt(plan, state),
    score: planScore(plan, warmup),
    critics: planCritics(plan, state),
    student: warmup ? null : planStudent(plan, state),
    release: releasedAt(plan, state),
    diagnostics: diagnostics.every > 0 && (last || step % diagnostics.every === 0),
    evaluate: evaluates && (last || dueAfter(step, evaluation.every)),
    checkpoint: last || dueAfter(step, checkpoints.every),
  };
}
