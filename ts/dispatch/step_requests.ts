import type { BatchPartPlan, StepPlan, WeightedTerm } from '../schedule/types.js';
import type { OperationArgs, OperationName } from '../wire/protocol.gen.js';

/** One operation with its arguments, tied together by name. */
export type OperationRequest = {
  [Name in OperationName]: { readonly op: Name; readonly args: OperationArgs<Name> };
}[OperationName];

type WirePart = OperationArgs<'build'>['parts'][number];
type WireTerm = OperationArgs<'step_student'>['terms'][number];

function wirePart(part: BatchPartPlan): WirePart {
  if (part.from === 'rollout') {
    const { handle, picks } = part;
    return { part: part.part, rollout: handle, ...(picks === null ? {} : { picks }) };
  }
  return { part: part.part, dataset: part.dataset, rows: part.rows };
}

/** What is off by default is not sent. */
export function wireTerm({ critic, gamma, discount, gradient, returns, ...term }: WeightedTerm): WireTerm {
  return {
    ...term,
    ...(critic === null ? {} : { critic }),
    ...(gamma === 1 ? {} : { gamma, ...(discount === 'dropped' ? { drop_discount: true } : {}) }),
    ...(gradient === 'token' ? {} : { returns: { gradient, ...returns } }),
  };
}

function rolloutRequests(plan: StepPlan): readonly OperationRequest[] {
  return plan.rollouts.map(({ handle, sampleIds, part: _part, mixture, cache, ahead, ...rollout }) => ({
    op: 'generate',
    args: {
      ...rollout,
      out: handle,
      sample_ids: sampleIds,
      ...(mixture > 0 ? { mixture } : {}),
      ...(cache ? { cache } : {}),
      ...(ahead ? { background: true } : {}),
    },
  }));
}

function criticRequests(plan: StepPlan): readonly OperationRequest[] {
  const critics = plan.critics;
  if (critics === null) return [];
  return Array.from({ length: critics.turns }, (_, turn) => ({
    op: 'step_critic',
    args: {
      step: plan.step,
      batch: plan.batch,
      updates: critics.updates,
      turn,
      lr: critics.lr,
      clip_norm: critics.clip_norm,
      diagnostics: plan.diagnostics,
    },
  }));
}

/**
 * One step as it appears on the wire, in order: generate (per drawn part; in the background, from the weights before
 * this step's update, what the next step needs), build, score, K × step_critic,
 * step_student, drop (rollouts used for the last time), end_step. Every request refers to results of earlier ones
 * by handle, so all can be sent at once.
 */
export function stepRequests(plan: StepPlan): readonly OperationRequest[] {
  const requests: OperationRequest[] = [...rolloutRequests(plan)];
  requests.push({ op: 'build', args: { out: plan.batch, parts: plan.parts.map(wirePart), ...plan.limits } });
  if (plan.score !== null) requests.push({ op: 'score', args: { batch: plan.batch, ...plan.score } });
  requests.push(...criticRequests(plan));
  if (plan.student !== null) {
    const { terms, ...student } = plan.student;
    requests.push({
      op: 'step_student',
      args: {
        step: plan.step,
        batch: plan.batch,
        terms: terms.map(wireTerm),
        ...student,
        diagnostics: plan.diagnostics,
      },
    });
  }
  if (plan.release.length > 0) requests.push({ op: 'drop', args: { handles: plan.release } });
  requests.push({ op: 'end_step', args: { step: plan.step } });
  return requests;
}
