import { describe, expect, test } from '@jest/globals';
import { sendStep } from '../../../../ts/dispatch/send_step.js';
import { stepRowSchema } from '../../../../ts/metrics/rows.js';
import { withRows } from '../../../../ts/plan/stage.js';
import type { SizedStagePlan } from '../../../../ts/plan/types.js';
import { stepRow } from '../../../../ts/run/rows/step_row.js';
import { INITIAL_STATE } from '../../../../ts/schedule/state.js';
import { planStep } from '../../../../ts/schedule/step.js';
import { ammd, stageOf } from '../../plan/plans.js';
import { walk } from '../../schedule/walk.js';
import { EACH, ScriptedClient } from '../scripted_client.js';

const SFT = withRows(stageOf('teacher'), { train: 100, check: 50 });

async function rowOf(stage: SizedStagePlan, seconds = 0.1, client = new ScriptedClient()) {
  const plan = planStep(stage, INITIAL_STATE);
  const replies = await sendStep(client, plan);
  const row = stepRow(stage.name, plan, replies, seconds, 7);
  stepRowSchema.parse(row);
  return { row, requests: replies.length };
}

const milliseconds = (seconds: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(seconds).map(([name, value]) => [name, Math.round(value * 1e4) / 10]));

describe('seconds', () => {
  test('each request counts for its phase, and all phases sum to the wall clock', async () => {
    const { row, requests } = await rowOf(ammd(100, 'method.adversary.turns=3'));
    expect(milliseconds(row.seconds)).toEqual({
      generate: 4,
      build: 4,
      teacher: 1,
      prepass: 0,
      critic: 12,
      student: 4 + 3, // its own step, and the pass with graph that score has done for it
      end: 4,
      idle: requests * EACH.idleMs,
      wire: 100 - requests * (EACH.runMs + EACH.idleMs),
      total: 100,
    });
    const { total, ...phases } = row.seconds;
    expect(Object.values(phases).reduce((sum, value) => sum + value, 0)).toBeCloseTo(total, 12);
  });

  test('a pass without graph is a pass of its own', async () => {
    const { row } = await rowOf(ammd(100, 'training.micro_batch=4'));
    expect(milliseconds(row.seconds)).toMatchObject({ prepass: 3, student: 4 });
  });

  test('waiting from before the step is not counted, and nothing is negative', async () => {
    const { row, requests } = await rowOf(ammd(100), 0.027);
    expect(requests * EACH.runMs).toBe(24);
    expect(milliseconds(row.seconds)).toMatchObject({ idle: 3, wire: 0, total: 27 });
    const { row: rushed } = await rowOf(ammd(100), 0.001);
    expect(milliseconds(rushed.seconds)).toMatchObject({ idle: 0, wire: 0, total: 1 });
  });
});

describe('where rows came from', () => {
  test('fresh ones are of the current student', async () => {
    const { row } = await rowOf(ammd(100));
    expect(row.metrics).toMatchObject({
      'rollout/fresh': 1,
      'rollout/replayed': 0,
      'rollout/dataset': 0,
      'rollout/staleness': 0,
    });
  });

  test('the dataset’s own have no age', async () => {
    const { row } = await rowOf(ammd(100, 'method.sources.on.probability=0'));
    expect(row.metrics).toMatchObject({ 'rollout/fresh': 0, 'rollout/dataset': 1 });
    expect(row.metrics).not.toHaveProperty('rollout/staleness');
  });

  test('replayed ones have the mean age of the rows', async () => {
    const { plan } = walk(ammd(100, 'method.sources.on.replay={capacity: 8, fresh: 0}'))[9] ?? {};
    if (plan === undefined) throw new Error('no step');
    const ages = plan.parts.flatMap((part) =>
      part.from === 'rollout' ? Array(part.size).fill(part.age) : [],
    );
    const row = stepRow('student', plan, [], 1, 0);
    expect(row.metrics).toMatchObject({ 'rollout/fresh': 0, 'rollout/replayed': 1, 'rollout/dataset': 0 });
    expect(ages.every((age) => age === 8 || age === 9)).toBe(true);
    expect(row.metrics['rollout/staleness']).toBeCloseTo(ages.reduce((sum, age) => sum + age, 0) / 4, 12);
  });
});

describe('the other columns', () => {
  test('tokens, bytes, versions and learning rates', async () => {
    const { row, requests } = await rowOf(ammd(100, 'method.adversary.lr_ratio=10'));
    expect(row).toMatchObject({
      stage: 'student',
      step: 1,
      tokens: { batch: 80, response: 40, generated: 12 },
      policy_version: 1,
      wire_bytes: requests * (EACH.bytesSent + EACH.bytesReceived),
    });
    expect(row.critic_lr).toBeCloseTo(10 * row.lr, 12);
    expect(row.metrics).toMatchObject({ 'rollout/length': 3, 'rollout/eos_rate': 0.75 });
  });

  test('without critics and rollouts there are no figures of them', async () => {
    const { row } = await rowOf(SFT);
    expect(row.critic_lr).toBeNull();
    expect(row.tokens.generated).toBe(0);
    expect(Object.keys(row.metrics)).toEqual(['loss', 'version']);
  });

  test('schedules say where they stand, those that never change left out', async () => {
    const changes = [
      'method.terms.anchor.weight={kind: linear, from: 1, to: 0}',
      'method.sources.on.probability={kind: adaptive, from: 0.5, to: 1, increment: 0.25, metric: exact_match}',
      'rollout.max_new_tokens={kind: linear, from: 4, to: 8}',
      'evaluation.every=2',
    ];
    const stage = ammd(100, ...changes);
    const steps = walk(stage, () => ({ exact_match: 0 }));
    const schedulesOf = (step: number) => {
      const plan = steps[step]?.plan;
      if (plan === undefined) throw new Error('no such step');
      const { metrics } = stepRow('student', plan, [], 1, 0);
      return Object.fromEntries(Object.entries(metrics).filter(([name]) => name.startsWith('schedule/')));
    };
    expect(schedulesOf(0)).toEqual({
      'schedule/terms.anchor.weight': 1,
      'schedule/sources.on.probability': 0.5,
      'schedule/rollout.max_new_tokens': 4,
    });
    // After two evaluations: the first sets the mark, the second moves. Tokens are rounded.
    expect(schedulesOf(5)).toEqual({
      'schedule/terms.anchor.weight': 0.75,
      'schedule/sources.on.probability': 0.75,
      'schedule/rollout.max_new_tokens': 5,
    });
  });

  test('a step that leaves the student alone keeps its version and has no learning rate', async () => {
    const { row } = await rowOf(ammd(100, 'method.adversary.warmup_steps=1'));
    expect(row).toMatchObject({ policy_version: 7, lr: 0 });
    expect(row.critic_lr).toBeGreaterThan(0);
  });

  test('kept responses have lengths as any, and were not drawn', async () => {
    const plan = planStep(ammd(100), INITIAL_STATE);
    const replies = await sendStep(new ScriptedClient(), plan);
    const rowWith = (drawnTokens: number) =>
      stepRow(
        'student',
        plan,
        replies.map((reply) =>
          reply.op === 'generate'
            ? { ...reply, result: { ...reply.result, cached: 3, drawn_tokens: drawnTokens } }
            : reply,
        ),
        1,
        0,
      );
    const kept = stepRowSchema.parse(rowWith(5));
    expect(kept).toMatchObject({
      tokens: { generated: 12 },
      drawn_tokens: 5,
      metrics: { 'rollout/length': 3 },
    });
    expect(rowWith(0).drawn_tokens).toBe(0);
    expect(rowWith(12)).not.toHaveProperty('drawn_tokens');
    expect(stepRow('student', plan, replies, 1, 0)).not.toHaveProperty('drawn_tokens');
  });

  test('what is not finite is null', async () => {
    const plan = planStep(SFT, INITIAL_STATE);
    const replies = await sendStep(new ScriptedClient(), plan);
    const broken = replies.map((reply) =>
      reply.op === 'end_step'
        ? {
            ...reply,
            result: { ...reply.result, metrics: { loss: Number.NaN, gap: Number.NEGATIVE_INFINITY, kl: 1 } },
          }
        : reply,
    );
    expect(stepRow('teacher', plan, broken, 1, 0).metrics).toEqual({ loss: null, gap: null, kl: 1 });
  });
});
