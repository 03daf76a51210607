import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { withRows } from '../../../ts/plan/stage.js';
import type { SizedStagePlan } from '../../../ts/plan/types.js';
import { isDone } from '../../../ts/schedule/clock.js';
import { measureLimitsOf } from '../../../ts/schedule/micro_batches.js';
import { advance, INITIAL_STATE, restoreState } from '../../../ts/schedule/state.js';
import { planStep } from '../../../ts/schedule/step.js';
import type { StageState, StepPlan } from '../../../ts/schedule/types.js';
import { ammd, stageOf } from '../plan/plans.js';
import { walk } from './walk.js';

function plansOf(plan: SizedStagePlan, from: StageState = INITIAL_STATE): readonly StepPlan[] {
  const plans: StepPlan[] = [];
  for (let state = from; !isDone(plan, state); state = advance(plan, state))
    plans.push(planStep(plan, state));
  return plans;
}

const sft = (...changes: readonly string[]) =>
  withRows(stageOf('teacher', ...changes.map((change) => `stages.teacher.${change}`)), {
    train: 30,
    check: 5,
  });

test('an objective that nobody knows is no step', () => {
  const plan = sft();
  const terms = plan.terms.map((term) => ({ ...term, objective: 'lost' }));
  expect(() => planStep({ ...plan, terms }, INITIAL_STATE)).toThrow(
    new RangeError('there is no objective lost'),
  );
});

describe('a step of AMMD', () => {
  test('is generate, build, score, critics, student', () => {
    const plan = ammd(30, 'method.adversary={turns: 3, lr_ratio: 10, clip_norm: 2}', 'training.lr=0.01');
    const step = planStep(plan, INITIAL_STATE);
    expect(step).toMatchObject({
      step: 0,
      phase: 'train',
      batch: 'step:0/batch',
      score: { teacher: true, student: 'graph' },
      critics: {
        turns: 3,
        lr: 0.1,
        clip_norm: 2,
        updates: [
          { critic: 'on', part: 'on' },
          { critic: 'off', part: 'off' },
        ],
      },
      student: { lr: 0.01, clip_norm: 1 },
      release: [],
    });
    expect(step.rollouts).toHaveLength(1);
    expect(step.rollouts[0]?.sampling.max_new_tokens).toBe(16);
    expect(step.parts.map(({ part }) => part)).toEqual(['off', 'on']);
  });

  test('micro-batches have the limits that are set, and measured rows at most a batch', () => {
    const limits = (...changes: readonly string[]) => {
      const plan = ammd(30, ...changes);
      return [planStep(plan, INITIAL_STATE).limits, measureLimitsOf(plan.training)];
    };
    expect(limits()).toEqual([{}, { micro_batch: 8 }]);
    expect(limits('training.micro_batch=3')).toEqual([{ micro_batch: 3 }, { micro_batch: 3 }]);
    expect(limits('training.packing=true')).toEqual([{ packing: true }, { micro_batch: 8, packing: true }]);
    expect(limits('training.micro_tokens=4096')).toEqual([
      { micro_tokens: 4096 },
      { micro_batch: 8, micro_tokens: 4096 },
    ]);
  });

  test('weights both sides by w, which may move', () => {
    const plan = ammd(30, 'training.steps=4', 'method.on_policy_weight={kind: linear, from: 0, to: 1}');
    const weights = plansOf(plan).map((step) => step.student?.terms.map(({ weight }) => weight));
    expect(weights).toEqual([
      [0, 1, 0.1],
      [0.25, 0.75, 0.1],
      [0.5, 0.5, 0.1],
      [0.75, 0.25, 0.1],
    ]);
  });
});

describe('adapters with dropout', () => {
  const plans = (lora: string) => plansOf(ammd(30, 'training.steps=3', `training.lora=${lora}`));
  const seeds = (steps: readonly StepPlan[]) => steps.map(({ student }) => student?.dropout_seed);

  test('have a pass of their own in the student’s step, each step with another seed', () => {
    const steps = plans('{}');
    expect(steps.map(({ score }) => score?.student)).toEqual(['values', 'values', 'values']);
    expect(new Set(seeds(steps)).size).toBe(3);
    expect(seeds(steps)).not.toContain(undefined);
    expect(seeds(plans('{}'))).toEqual(seeds(steps));
  });

  test.each(['null', '{dropout: 0}'])('without dropout nothing changes: %s', (lora) => {
    expect(plans(lora)).toEqual(plansOf(ammd(30, 'training.steps=3')));
  });
});

describe('critic warm-up', () => {
  const plan = ammd(
    30,
    'training={steps: 4, lr: {kind: cosine, from: 1, to: 0, warmup: 1}}',
    'method.adversary={warmup_steps: 2, lr_ratio: 2}',
    'evaluation.every=1',
  );
  const plans = plansOf(plan);

  test('steps the critics alone, at the rate where the schedule starts', () => {
    expect(plans.map(({ phase }) => phase)).toEqual([
      ...Array(2).fill('critic_warmup'),
      ...Array(4).fill('train'),
    ]);
    expect(plans.map(({ student }) => student === null)).toEqual([true, true, false, false, false, false]);
    expect(plans.slice(0, 3).map(({ critics }) => critics?.lr)).toEqual([2, 2, 1]);
    expect(plans.slice(0, 3).map(({ score }) => score?.student)).toEqual(['values', 'values', 'graph']);
  });

  test('does not run the clock of the student, and is not evaluated', () => {
    expect(plans[2]?.student?.lr).toBe(0.5);
    expect(plans[3]?.student?.lr).toBe(1);
    expect(plans.map(({ evaluate }) => evaluate)).toEqual([false, false, true, true, true, true]);
  });
});

describe('other methods', () => {
  test('supervised fine-tuning needs neither score nor critics', () => {
    const step = planStep(sft(), INITIAL_STATE);
    expect(step).toMatchObject({ score: null, critics: null, rollouts: [] });
    expect(step.student?.terms).toEqual([
      expect.objectContaining({
        name: 'cross_entropy',
        part: 'off',
        critic: null,
        weight: 1,
        gradient: 'token',
      }),
    ]);
  });

  test('distillation scores the teacher alone', () => {
    const plan = sft('method=kd', 'teacher=tiny');
    expect(planStep(plan, INITIAL_STATE).score).toEqual({ teacher: true, student: 'none' });
  });
});

describe('what happens after a step', () => {
  const due = (plan: SizedStagePlan, what: 'diagnostics' | 'evaluate' | 'checkpoint') =>
    plansOf(plan).flatMap((step) => (step[what] ? [step.step] : []));

  test('diagnostics come at the first step, every so often, and at the last', () => {
    expect(due(sft('training.steps=8', 'diagnostics.every=3'), 'diagnostics')).toEqual([0, 3, 6, 7]);
    expect(due(sft('diagnostics.every=0'), 'diagnostics')).toEqual([]);
  });

  test('evaluation and checkpoints come after every so many steps, and after the last', () => {
    expect(due(sft('training.steps=8', 'evaluation.every=3'), 'evaluate')).toEqual([2, 5, 7]);
    expect(due(sft('training.steps=8', 'checkpoints.every=3'), 'checkpoint')).toEqual([2, 5, 7]);
  });

  test('without interval there is no evaluation, but a checkpoint at the end', () => {
    expect(due(sft('training.steps=8'), 'evaluate')).toEqual([]);
    expect(due(sft('training.steps=8'), 'checkpoint')).toEqual([7]);
  });
});

/** Schedules of every kind, where they change what is drawn, learned and kept. */
const MOVING = [
  'training.lr={kind: sequence, pieces: [{steps: 5, shape: {kind: linear, from: 0, to: 1}}, {steps: 9, shape: {kind: cosine, from: 1, to: 0}}], warmup: 2}',
  'method.terms.anchor.weight={kind: adaptive, from: 0, to: 1, increment: 0.2, metric: exact_match, mode: max}',
  'method.adversary.turns={kind: step, from: 8, factor: 0.5, every: 5}',
  'method.sources.on.mixture={kind: adaptive, from: 0.5, to: 0, increment: 0.1, metric: cross_entropy, tolerance: 0.1}',
  'rollout.temperature={kind: cosine, from: 1, to: 0.5}',
  // A multiple of every iteration below.
  'evaluation={every: 12, measure: [cross_entropy]}',
];
const PROBABILITY = '{kind: adaptive, from: 0.2, to: 1, increment: 0.3, metric: cross_entropy}';

const iterated = fc
  .record({ minibatches: fc.integer({ min: 1, max: 3 }), epochs: fc.integer({ min: 1, max: 2 }) })
  .map(
    ({ minibatches, epochs }) =>
      `method={iteration: {minibatches: ${minibatches}, epochs: ${epochs}}, sources: {on: {probability: ${PROBABILITY}}}}`,
  );
const replayed = fc
  .record({
    capacity: fc.integer({ min: 9, max: 40 }),
    staleness: fc.option(fc.integer({ min: 0, max: 8 }), { nil: null }),
  })
  .map(
    ({ capacity, staleness }) =>
      `method.sources.on={probability: ${PROBABILITY}, max_staleness: ${staleness}, replay: {capacity: ${capacity}, fresh: {kind: linear, from: 1, to: 0}}}`,
  );

test('a stage resumed at any step makes the same plans', () => {
  const shape = fc.record({
    rows: fc.integer({ min: 1, max: 60 }),
    batch: fc.integer({ min: 2, max: 9 }),
    warmup: fc.nat(4),
    source: fc.oneof(iterated, replayed),
    figures: fc.array(fc.double({ min: 0, max: 3, noNaN: true }), { minLength: 4, maxLength: 4 }),
  });
  fc.assert(
    fc.property(shape, ({ rows, batch, warmup, source, figures }) => {
      const plan = ammd(
        rows,
        `training={batch_size: ${batch}, steps: 30}`,
        `method.adversary.warmup_steps=${warmup}`,
        ...MOVING,
        source,
      );
      const said = (step: number) => {
        const figure = figures[Math.floor(step / 12) % 4] ?? 0;
        return { cross_entropy: figure, exact_match: 3 - figure };
      };
      const whole = walk(plan, said);
      expect(whole).toHaveLength(plan.steps);
      for (const [index, { before }] of whole.entries()) {
        const resumed = restoreState(plan, JSON.parse(JSON.stringify(before)));
        expect(resumed).toEqual(before);
        // All that follows from the middle on; the next step elsewhere.
        const rest = index === 17 ? walk(plan, said, resumed) : [{ plan: planStep(plan, resumed) }];
        expect(rest.map((one) => one.plan)).toEqual(
          whole.slice(index, index + rest.length).map((one) => one.plan),
        );
      }
    }),
    { numRuns: 25 },
  );
});

test('an evaluation moves what comes after it and nothing before', () => {
  const plan = ammd(
    50,
    'method.terms.anchor.weight={kind: adaptive, from: 0, to: 1, increment: 0.25, metric: exact_match}',
    'training.steps=7',
    'evaluation.every=2',
  );
  const weights = walk(plan, () => ({ exact_match: 1 })).map(
    ({ plan: { student } }) => student?.terms.at(-1)?.weight,
  );
  expect(weights).toEqual([0, 0, 0, 0, 0.25, 0.25, 0.5]);
});

test('parameters of an objective may move, and those that do not stay as they are', () => {
  const plan = ammd(
    50,
    'method.terms.anchor={objective: skew_forward_kl, params: {alpha: {kind: linear, from: 0, to: 0.4}, temperature: 2}}',
    'training.steps=5',
  );
  const anchors = plansOf(plan).map(({ student }) => student?.terms.find(({ name }) => name === 'anchor'));
  expect(anchors.map((term) => term?.params)).toEqual(
    [0, 0.08, 0.16, 0.24, 0.32].map((alpha) => ({ alpha: expect.closeTo(alpha, 10), temperature: 2 })),
  );
});

describe('a policy gradient', () => {
  const plan = ammd(50, 'method.terms.on={gradient: return, gamma: 0.9, returns: {norm: none}}');

  test('is in its term', () => {
    expect(planStep(plan, INITIAL_STATE).student?.terms[0]).toMatchObject({
      gamma: 0.9,
      gradient: 'return',
      returns: { costs: 'exact', norm: 'none', baseline: 'leave_one_out' },
    });
  });

  test('needs the student’s pass ahead of its step, without critics too', () => {
    const rkl =
      'method={extends: null, name: m, sources: {on: {from: student, share: 1}}, ' +
      'terms: {t: {objective: reverse_kl, part: on, GRADIENT}}}';
    const scored = (gradient: string) =>
      planStep(ammd(50, rkl.replace('GRADIENT', gradient)), INITIAL_STATE).score;
    expect(scored('gradient: token')).toEqual({ teacher: true, student: 'none' });
    expect(scored('gradient: return')).toEqual({ teacher: true, student: 'graph' });
    expect(scored('gradient: reinforce')).toEqual({ teacher: true, student: 'graph' });
  });
});

test('critics that never learn take no turns, and the others do', () => {
  const one = planStep(ammd(50, 'method.critics.on.trained=false'), INITIAL_STATE);
  expect(one.critics?.updates).toEqual([{ critic: 'off', part: 'off' }]);
  const none = planStep(
    ammd(50, 'method.critics={on: {trained: false}, off: {trained: false}}'),
    INITIAL_STATE,
  );
  expect(none.critics).toBeNull();
  expect(none.score).toEqual({ teacher: true, student: 'none' });
});

test('a finished stage has no further step', () => {
  const plan = sft('training.steps=1');
  expect(() => planStep(plan, advance(plan, INITIAL_STATE))).toThrow(RangeError);
});
