import type { AnyReply } from '../../dispatch/send_step.js';
import { finiteOrNull, type StepRow, type StepSeconds } from '../../metrics/rows.js';
import type { StepPlan } from '../../schedule/types.js';

type ReplyOf<Op extends AnyReply['op']> = Extract<AnyReply, { readonly op: Op }>;

function repliesOf<Op extends AnyReply['op']>(replies: readonly AnyReply[], op: Op): readonly ReplyOf<Op>[] {
  return replies.filter((reply): reply is ReplyOf<Op> => reply.op === op);
}

function sum<Item>(items: readonly Item[], value: (item: Item) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

const runSeconds = (replies: readonly AnyReply[]) => sum(replies, (reply) => reply.runMs) / 1000;

/**
 * Where the step's wall clock went. What is neither the worker's computation nor its waiting counts as wire: codec,
 * transport and its threads. Waiting from before the step began (an evaluation, a checkpoint) is not the step's.
 */
function secondsOf(replies: readonly AnyReply[], total: number): StepSeconds {
  const score = repliesOf(replies, 'score');
  const teacher = sum(score, (reply) => reply.result.teacher_ms) / 1000;
  const studentPass = Math.max(0, runSeconds(score) - teacher);
  // A pass with graph is the first half of the student's own step, done early.
  const reused = score.some((reply) => reply.result.student_graph);
  const notRunning = Math.max(0, total - runSeconds(replies));
  const idle = Math.min(sum(replies, (reply) => reply.idleMs) / 1000, notRunning);
  return {
    generate: runSeconds(repliesOf(replies, 'generate')),
    build: runSeconds(repliesOf(replies, 'build')),
    teacher,
    prepass: reused ? 0 : studentPass,
    critic: runSeconds(repliesOf(replies, 'step_critic')),
    student: runSeconds(repliesOf(replies, 'step_student')) + (reused ? studentPass : 0),
    end: runSeconds(repliesOf(replies, 'end_step')) + runSeconds(repliesOf(replies, 'drop')),
    wire: notRunning - idle,
    idle,
    total,
  };
}

function rolloutMetrics(replies: readonly AnyReply[]): Record<string, number> {
  const rollouts = repliesOf(replies, 'generate');
  const rows = sum(rollouts, (reply) => reply.result.rows);
  if (rows === 0) return {};
  return {
    'rollout/length': sum(rollouts, (reply) => reply.result.tokens) / rows,
    'rollout/eos_rate': sum(rollouts, (reply) => reply.result.ended) / rows,
  };
}

/** Shares of the rows of generated parts, and how old those are that a model drew. */
function originMetrics({ origins }: StepPlan): Record<string, number> {
  if (origins === null) return {};
  const { fresh, replayed, dataset, staleness } = origins;
  const rows = fresh + replayed + dataset;
  return {
    'rollout/fresh': fresh / rows,
    'rollout/replayed': replayed / rows,
    'rollout/dataset': dataset / rows,
    ...(staleness === null ? {} : { 'rollout/staleness': staleness }),
  };
}

const scheduleMetrics = ({ schedules }: StepPlan): Record<string, number> =>
  Object.fromEntries(Object.entries(schedules).map(([name, value]) => [`schedule/${name}`, value]));

/**
 * The typed row of one finished step.
 *
 * @param seconds wall clock since the step before ended.
 * @param policyVersion version of the student before this step, for steps that leave it alone.
 */
export function stepRow(
  stage: string,
  plan: StepPlan,
  replies: readonly AnyReply[],
  seconds: number,
  policyVersion: number,
): StepRow {
  const end = repliesOf(replies, 'end_step')[0];
  const build = repliesOf(replies, 'build');
  const student = repliesOf(replies, 'step_student')[0];
  const rollouts = repliesOf(replies, 'generate');
  const generated = sum(rollouts, (reply) => reply.result.tokens);
  const drawn = sum(rollouts, (reply) => reply.result.drawn_tokens ?? reply.result.tokens);
  return {
    kind: 'step',
    stage,
    step: plan.step + 1,
    metrics: finiteOrNull({
      ...end?.result.metrics,
      ...rolloutMetrics(replies),
      ...originMetrics(plan),
      ...scheduleMetrics(plan),
    }),
    lr: plan.student?.lr ?? 0,
    critic_lr: plan.critics?.lr ?? null,
    tokens: {
      batch: sum(build, (reply) => reply.result.tokens),
      response: sum(build, (reply) => sum(Object.values(reply.result.response_tokens), (count) => count)),
      generated,
    },
    ...(drawn === generated ? {} : { drawn_tokens: drawn }),
    seconds: secondsOf(replies, seconds),
    policy_version: student?.result.policy_version ?? policyVersion,
    wire_bytes: sum(replies, (reply) => reply.bytesSent + reply.bytesReceived),
  };
}
