import { streamSeed } from '../common/random.js';
import { OBJECTIVES } from '../config/objectives.js';
import type { SizedStagePlan, TermPlan } from '../plan/types.js';
import { partsAt, releasedAt, rolloutsAt } from './rollouts.js';
import { inCriticWarmup, isDone, turnsAt } from './state.js';
import type {
  CriticStepPlan,
  ScorePlan,
  StageState,
  StepPlan,
  StudentStepPlan,
  WeightedTerm,
} from './types.js';
import { startValue, valueAt } from './value.js';

/** While critics warm up, the student's clock stands at 0 and its own warm-up does not hold them back. */
function studentLr(plan: SizedStagePlan, state: StageState): number {
  const { lr } = plan.training;
  return inCriticWarmup(plan, state) ? startValue(lr) : valueAt(lr, state.studentStep, plan.studentSteps);
}

const hasDropout = ({ training }: SizedStagePlan) => (training.lora?.dropout ?? 0) > 0;

function planScore(plan: SizedStagePlan, warmup: boolean): ScorePlan | null {
  const { batch_size, micro_batch } = plan.training;
  const adversarial = plan.critics.length > 0;
  const teacher = adversarial || plan.terms.some(({ objective }) => OBJECTIVES[objective]?.teacher);
  if (!teacher) return null;
  // The graph of one pass can serve critics and student only when the batch is one micro-batch, and when the student's
  // step has no dropout, which scoring never has.
  const whole = micro_batch === 0 || micro_batch >= batch_size;
  const shared = whole && !warmup && !hasDropout(plan) ? 'graph' : 'values';
  return { teacher: plan.teacher !== null, student: adversarial ? shared : 'none', micro_batch };
}

function planCritics(plan: SizedStagePlan, state: StageState): CriticStepPlan | null {
  const turns = turnsAt(plan, state.studentStep);
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

function weigh(term: TermPlan, plan: SizedStagePlan, step: number): WeightedTerm {
  const at = (schedule: TermPlan['weight']) => valueAt(schedule, step, plan.studentSteps);
  const onPolicy = at(plan.onPolicyWeight);
  const scales = { none: 1, on_policy_weight: onPolicy, off_policy_weight: 1 - onPolicy };
  const { name, objective, part, critic, params } = term;
  return { name, objective, part, critic, weight: at(term.weight) * scales[term.scale], params };
}

function planStudent(plan: SizedStagePlan, state: StageState): StudentStepPlan {
  const { clip_norm, micro_batch } = plan.training;
  return {
    lr: studentLr(plan, state),
    clip_norm,
    micro_batch,
    ...(hasDropout(plan) ? { dropout_seed: streamSeed(plan.adapterSeeds.dropout, state.step) } : {}),
    terms: plan.terms.map((term) => weigh(term, plan, state.studentStep)),
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
  const evaluates = plan.data.validation !== null && evaluation.every > 0 && !warmup;
  return {
    step,
    phase: warmup ? 'critic_warmup' : 'train',
    batch: `step:${step}/batch`,
    rollouts: rolloutsAt(plan, step),
    parts: partsAt(plan, step),
    score: planScore(plan, warmup),
    critics: planCritics(plan, state),
    student: warmup ? null : planStudent(plan, state),
    release: releasedAt(plan, step),
    diagnostics: diagnostics.every > 0 && (last || step % diagnostics.every === 0),
    evaluate: evaluates && (last || dueAfter(step, evaluation.every)),
    checkpoint: last || dueAfter(step, checkpoints.every),
  };
}
