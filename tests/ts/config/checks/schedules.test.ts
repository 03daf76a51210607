import { describe, expect, test } from '@jest/globals';
import { stageSchedules } from '../../../../ts/config/stage_schedules.js';
import { problemsOf, resolveRun } from '../workspace.js';

const STAGE = 'stages.student';
const EVALUATED = `${STAGE}.evaluation={every: 4, measure: [cross_entropy]}`;
const ADAPTIVE = '{kind: adaptive, from: 0, to: 1, increment: 0.1, metric: cross_entropy}';

describe('an adaptive schedule', () => {
  test.each([
    'method.sources.on.probability',
    'method.sources.on.mixture',
    'method.on_policy_weight',
    'method.terms.anchor.weight',
    'training.lr',
    'rollout.temperature',
  ])('may stand at %s, and needs its metric', (place) => {
    const change = `${STAGE}.${place}=${ADAPTIVE}`;
    expect(() => resolveRun(change, EVALUATED)).not.toThrow();
    expect(problemsOf(change, `${STAGE}.evaluation.every=4`)).toEqual([
      `${STAGE}.${place}.metric: "cross_entropy" is not evaluated (exact_match are); add it to \`evaluation.metrics\` or \`evaluation.measure\``,
    ]);
  });

  test('needs evaluations during training', () => {
    expect(
      problemsOf(`${STAGE}.training.lr=${ADAPTIVE}`, `${STAGE}.evaluation.measure=[cross_entropy]`),
    ).toEqual([
      `${STAGE}.training.lr: an adaptive schedule needs evaluations during training; set \`evaluation.every\``,
    ]);
  });

  test('needs a validation set', () => {
    const change = `${STAGE}.training.lr=${ADAPTIVE.replace('cross_entropy', 'exact_match')}`;
    expect(problemsOf(change, `${STAGE}.data.validation=null`)).toEqual([
      `${STAGE}.training.lr: an adaptive schedule needs a validation set; set \`data.validation\``,
    ]);
  });

  const SHARE = `${STAGE}.method.sources.on.probability=${ADAPTIVE}`;
  const evaluated = (every: number) => `${STAGE}.evaluation={every: ${every}, measure: [cross_entropy]}`;

  test('that evaluations cannot bring to its end is told, with the number', () => {
    const { warnings } = resolveRun(SHARE, `${STAGE}.training.steps=100`, evaluated(20));
    expect(warnings).toEqual([
      expect.stringContaining(
        'sources.on.probability: from 0 to 1 takes 10 moves, and the evaluations before the last step allow 4; give an `evaluation.every` of at most 9, or a larger `increment`',
      ),
    ]);
  });

  test.each([
    [100, 0, 10, 1], // the tenth evaluation comes after the last step
    [100, 0, 9, 0],
    [101, 0, 10, 0],
    [100, 12, 9, 0], // steps 18, 27, …, 108 of 112
    [91, 14, 10, 1], // none at step 10, while critics warm up
  ])('of %i steps after %i of warm-up, evaluated every %i: %i warnings', (steps, warmup, every, count) => {
    const shape = [`${STAGE}.training.steps=${steps}`, `${STAGE}.method.adversary.warmup_steps=${warmup}`];
    expect(resolveRun(SHARE, ...shape, evaluated(every)).warnings).toHaveLength(count);
  });

  test('may be too long for any evaluations, or have an end that nobody knows', () => {
    expect(resolveRun(SHARE, `${STAGE}.training.steps=5`, evaluated(1)).warnings).toEqual([
      expect.stringMatching(/allow 4; give a larger `increment`$/),
    ]);
    const epochs = `${STAGE}.training={steps: null, epochs: 1}`;
    expect(resolveRun(SHARE, epochs, evaluated(1000)).warnings).toEqual([]);
  });

  test('stays within the bounds of its place', () => {
    expect(
      problemsOf(`${STAGE}.method.on_policy_weight=${ADAPTIVE.replace('to: 1', 'to: 2')}`),
    ).toContainEqual(expect.stringContaining('every value must be from 0 to 1'));
  });
});

test('every piece of a sequence is within the bounds, and a count is at least 1', () => {
  const sequence = (shape: string) =>
    `{kind: sequence, pieces: [{steps: 2, shape: 1}, {steps: 3, shape: ${shape}}]}`;
  expect(() => resolveRun(`${STAGE}.method.adversary.turns=${sequence('4')}`)).not.toThrow();
  for (const shape of ['0', '{kind: linear, from: 2, to: 0}']) {
    expect(problemsOf(`${STAGE}.method.adversary.turns=${sequence(shape)}`)).toContainEqual(
      expect.stringContaining('adversary.turns: every value must be from 1 to 1000'),
    );
  }
  const halving = '{kind: step, from: 8, factor: 0.5, every: 4}';
  expect(() => resolveRun(`${STAGE}.method.adversary.turns=${halving}`)).not.toThrow();
});

test('sequences are not nested, nor adaptive within', () => {
  const nested = `{kind: sequence, pieces: [{steps: 2, shape: ${ADAPTIVE}}]}`;
  expect(problemsOf(`${STAGE}.training.lr=${nested}`)[0]).toContain(
    'training.lr.pieces.0.shape.kind: expected a number or a mapping with kind: constant, linear, cosine or step',
  );
});

test('schedules go by their path, those that nothing reads left out', () => {
  const { config } = resolveRun(
    `${STAGE}.method.sources.on.replay.fresh=0.5`,
    `${STAGE}.rollout.max_new_tokens=8`,
  );
  const stage = config.stages.student;
  if (stage === undefined) throw new Error('no stage');
  expect([...stageSchedules(stage).keys()]).toEqual([
    'training.lr',
    'rollout.max_new_tokens',
    'sources.on.probability',
    'sources.on.mixture',
    'sources.on.replay.fresh',
    'on_policy_weight',
    'terms.on.weight',
    'terms.off.weight',
    'terms.anchor.weight',
    'adversary.turns',
  ]);
});
