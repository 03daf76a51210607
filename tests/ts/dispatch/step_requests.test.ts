import { describe, expect, test } from '@jest/globals';
import { type OperationRequest, stepRequests } from '../../../ts/dispatch/step_requests.js';
import { withRows } from '../../../ts/plan/stage.js';
import type { SizedStagePlan } from '../../../ts/plan/types.js';
import { advance, INITIAL_STATE } from '../../../ts/schedule/state.js';
import { planStep } from '../../../ts/schedule/step.js';
import { OPERATIONS, type OperationArgs, type OperationName } from '../../../ts/wire/protocol.gen.js';
import { ammd, stageOf } from '../plan/plans.js';

/** Requests of the 0-based step `step` of a stage. */
function requestsAt(stage: SizedStagePlan, step: number): readonly OperationRequest[] {
  let state = INITIAL_STATE;
  while (state.step < step) state = advance(stage, state);
  return stepRequests(planStep(stage, state));
}

const opsOf = (requests: readonly OperationRequest[]) => requests.map(({ op }) => op);

function argsOf<Name extends OperationName>(
  requests: readonly OperationRequest[],
  op: Name,
): OperationArgs<Name> {
  const found = requests.find((request) => request.op === op);
  if (found === undefined) throw new Error(`no ${op} among the requests`);
  return found.args as OperationArgs<Name>;
}

describe('order on the wire', () => {
  test('AMMD: generate, build, score, step_critic, step_student, end_step', () => {
    expect(opsOf(requestsAt(ammd(100), 0))).toEqual([
      'generate',
      'build',
      'score',
      'step_critic',
      'step_student',
      'end_step',
    ]);
  });

  test('responses drawn ahead are the last to be drawn before the batch is built, in the background', () => {
    const stage = ammd(
      100,
      'method.sources={off: {from: student}, on: {max_staleness: 1}}',
      'training.steps=3',
    );
    const drawn = (step: number): readonly unknown[] =>
      requestsAt(stage, step).flatMap<unknown>(({ op, args }) =>
        op === 'generate' ? [[args.out, args.background]] : op === 'build' ? [op] : [],
      );
    expect(drawn(0)).toEqual([
      ['step:0/rollout.off', undefined],
      ['buffer/on.0', undefined],
      ['buffer/on.1', true],
      'build',
    ]);
    expect(drawn(1)).toEqual([['step:1/rollout.off', undefined], ['buffer/on.2', true], 'build']);
    expect(drawn(2)).toEqual([['step:2/rollout.off', undefined], 'build']);
    expect(opsOf(requestsAt(stage, 2)).slice(-3)).toEqual(['step_student', 'drop', 'end_step']);
    expect(argsOf(requestsAt(stage, 2), 'drop')).toEqual({ handles: ['buffer/on.2'] });
  });

  test('K turns are K requests, numbered from 0', () => {
    const requests = requestsAt(ammd(100, 'method.adversary.turns=3'), 0);
    const turns = requests.flatMap((request) => (request.op === 'step_critic' ? [request.args.turn] : []));
    expect(turns).toEqual([0, 1, 2]);
    expect(opsOf(requests)).toHaveLength(8);
  });

  test('SFT has nothing to score', () => {
    const sft = withRows(stageOf('teacher'), { train: 100, check: 50 });
    expect(opsOf(requestsAt(sft, 0))).toEqual(['build', 'step_student', 'end_step']);
  });

  test('KD scores the teacher and has no critics', () => {
    const kd = ammd(100, 'method=kd');
    expect(opsOf(requestsAt(kd, 0))).toEqual(['build', 'score', 'step_student', 'end_step']);
    expect(argsOf(requestsAt(kd, 0), 'score')).toMatchObject({ teacher: true, student: 'none' });
  });

  test('the batch is built with the limits of its micro-batches', () => {
    expect(argsOf(requestsAt(ammd(100), 0), 'build')).not.toHaveProperty('micro_batch');
    const limited = ammd(100, 'training.micro_batch=3', 'training.micro_tokens=512');
    expect(argsOf(requestsAt(limited, 0), 'build')).toMatchObject({ micro_batch: 3, micro_tokens: 512 });
  });

  test('adapters with dropout have its seed in the student’s step', () => {
    const [first, second] = [0, 1].map(
      (step) => argsOf(requestsAt(ammd(100, 'training.lora={}'), step), 'step_student').dropout_seed,
    );
    expect(first).toEqual(expect.any(Number));
    expect(second).not.toBe(first);
    expect(argsOf(requestsAt(ammd(100), 0), 'step_student')).not.toHaveProperty('dropout_seed');
  });

  test('in critic warm-up the student is left alone', () => {
    const stage = ammd(100, 'method.adversary.warmup_steps=2');
    expect(opsOf(requestsAt(stage, 1))).not.toContain('step_student');
    expect(opsOf(requestsAt(stage, 2))).toContain('step_student');
  });

  test('the rollout of an iteration is drawn at its start and dropped at its end', () => {
    const stage = ammd(100, 'method.iteration.minibatches=2', 'method.iteration.epochs=2');
    const [first, second, third, last] = [0, 1, 2, 3].map((step) => opsOf(requestsAt(stage, step)));
    expect(first?.filter((op) => op === 'generate')).toHaveLength(1);
    expect(second).not.toContain('generate');
    expect(second).not.toContain('drop');
    expect(third).not.toContain('drop');
    expect(last?.slice(-2)).toEqual(['drop', 'end_step']);
    const dropped = argsOf(requestsAt(stage, 3), 'drop').handles;
    const drawn = requestsAt(stage, 0).flatMap((it) => (it.op === 'generate' ? [it.args.out] : []));
    expect([...dropped].sort()).toEqual([...drawn].sort());
  });
});

describe('arguments', () => {
  const requests = requestsAt(ammd(100), 4);

  test('every request fits the contract', () => {
    const stages = [ammd(100), ammd(100, 'method=kd'), ammd(100, 'method.adversary.turns=2')];
    for (const { op, args } of stages.flatMap((stage) => requestsAt(stage, 4)))
      expect(OPERATIONS[op].args.safeParse(args).error).toBeUndefined();
  });

  test('requests refer to each other by the handles of their step', () => {
    const { out } = argsOf(requests, 'generate');
    const build = argsOf(requests, 'build');
    expect(out).toBe('step:4/rollout.on');
    expect(build.parts.find(({ part }) => part === 'on')).toEqual({ part: 'on', rollout: out });
    const off = build.parts.find(({ part }) => part === 'off');
    expect(off).toMatchObject({ dataset: 'train', rows: expect.any(Array) });
    expect(off).not.toHaveProperty('rollout');
    expect(build.out).toBe('step:4/batch');
    for (const op of ['score', 'step_critic', 'step_student'] as const)
      expect(argsOf(requests, op).batch).toBe(build.out);
    expect(argsOf(requests, 'end_step')).toEqual({ step: 4 });
  });

  test('a rollout has one sample id a row', () => {
    const { rows, sample_ids } = argsOf(requests, 'generate');
    expect(rows).toHaveLength(4);
    expect(new Set(sample_ids).size).toBe(rows.length);
  });

  test('only terms with a critic name one', () => {
    const { terms } = argsOf(requests, 'step_student');
    const critics = Object.fromEntries(terms.map(({ name, critic }) => [name, critic]));
    expect(critics).toEqual({ on: 'on', off: 'off', anchor: undefined });
    expect(terms.find(({ name }) => name === 'anchor')).not.toHaveProperty('critic');
  });

  test('weights, sources and K change the plan and nothing else', () => {
    const changed = requestsAt(ammd(100, 'method.terms.anchor.weight=0.3'), 4);
    const anchor = argsOf(changed, 'step_student').terms.find(({ name }) => name === 'anchor');
    expect(anchor?.weight).toBe(0.3);
    const others = (all: readonly OperationRequest[]) => all.filter(({ op }) => op !== 'step_student');
    expect(others(changed)).toEqual(others(requests));

    const shares = requestsAt(ammd(100, 'method.sources.off.share=0.75', 'method.sources.on.share=0.25'), 0);
    expect(argsOf(shares, 'generate').rows).toHaveLength(2);
    expect(argsOf(shares, 'build').parts.find(({ part }) => part === 'off')?.rows).toHaveLength(6);
  });
});

describe('what is off by default is not sent', () => {
  const PLAIN = requestsAt(ammd(100), 0);

  test('of terms and rollouts', () => {
    const [term] = argsOf(PLAIN, 'step_student').terms;
    expect(Object.keys(term ?? {}).sort()).toEqual([
      'critic',
      'name',
      'objective',
      'params',
      'part',
      'weight',
    ]);
    const rollout = argsOf(PLAIN, 'generate');
    for (const key of ['mixture', 'cache']) expect(rollout).not.toHaveProperty(key);
    expect(argsOf(PLAIN, 'build').parts.every((part) => !('picks' in part))).toBe(true);
  });

  test('gamma, dropped discount and returns are, once they say something', () => {
    const changed = (term: string) =>
      argsOf(requestsAt(ammd(100, `method.terms.on=${term}`), 0), 'step_student').terms[0];
    expect(changed('{gamma: 0.9}')).toMatchObject({ gamma: 0.9 });
    expect(changed('{gamma: 0.9}')).not.toHaveProperty('drop_discount');
    expect(changed('{gamma: 0.9, discount: dropped, gradient: reinforce}')).toMatchObject({
      gamma: 0.9,
      drop_discount: true,
      returns: { gradient: 'reinforce', costs: 'exact', norm: 'length', importance: 'none', clip: 0 },
    });
    expect(changed('{returns: {norm: none}}')).not.toHaveProperty('returns');
  });

  test('mixture and cache are, for who they are for', () => {
    const changed = requestsAt(ammd(100, 'method.sources={off: {from: teacher}, on: {mixture: 0.2}}'), 0);
    const rollouts = changed.flatMap(({ op, args }) => (op === 'generate' ? [args] : []));
    expect(rollouts.map(({ role, mixture, cache }) => [role, mixture, cache])).toEqual([
      ['teacher', undefined, true],
      ['student', 0.2, undefined],
    ]);
  });

  test('picks are, of each rollout that a replayed batch takes rows of', () => {
    const stage = ammd(100, 'method.sources.on.replay={capacity: 40, fresh: 0}');
    const { parts } = argsOf(requestsAt(stage, 12), 'build');
    const replayed = parts.filter(({ part }) => part === 'on');
    expect(replayed.length).toBeGreaterThan(1);
    for (const { rollout } of replayed) expect(rollout).toMatch(/^buffer\/on\.\d$/);
    expect(replayed.flatMap(({ picks }) => picks ?? [])).toHaveLength(4);
    for (const { op, args } of requestsAt(stage, 12))
      expect(OPERATIONS[op].args.safeParse(args).error).toBeUndefined();
  });
});
