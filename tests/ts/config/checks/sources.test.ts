import { describe, expect, test } from '@jest/globals';
import { problemsOf, resolveRun } from '../workspace.js';

const STAGE = 'stages.student';
const SOURCES = `${STAGE}.method.sources`;

/** The AMMD stage with these changes of its part `on`, which the student draws. */
const on = (changes: string) => `${SOURCES}.on=${changes}`;

describe('keys that mean nothing where responses come from are refused', () => {
  test.each([
    ['off={probability: 0.5}', 'off.probability: no effect with from: dataset, as no model draws here'],
    ['off={mixture: 0.2}', 'off.mixture: no effect with from: dataset, as the student does not draw here'],
    ['off={replay: {}}', 'off.replay: no effect with from: dataset'],
    ['off={max_staleness: 3}', 'off.max_staleness: no effect with from: dataset, as only responses of the'],
    ['off={cache: true}', 'off.cache: no effect with from: dataset, as the teacher does not draw here'],
    ['off={from: teacher, mixture: 0.2}', 'off.mixture: no effect with from: teacher'],
    ['off={from: teacher, replay: {}}', 'off.replay: no effect with from: teacher'],
    ['off={from: teacher, max_staleness: 0}', 'off.max_staleness: no effect with from: teacher'],
    ['on={cache: false}', 'on.cache: no effect with from: student, as the teacher does not draw here'],
    [
      'on={responses_seed: 1}',
      'on.responses_seed: no effect with from: student, as no responses of the teacher',
    ],
    [
      'off={from: teacher, cache: false, responses_seed: 1}',
      'off.responses_seed: no effect with from: teacher, as no responses of the teacher',
    ],
  ])('%s', (change, problem) => {
    expect(problemsOf(`${SOURCES}.${change}`)).toContainEqual(
      expect.stringContaining(`${SOURCES}.${problem}`),
    );
  });

  test.each([
    'off={from: teacher, cache: false, probability: 0.5}',
    'off={from: teacher, cache: true}',
    'on={mixture: 0.2, probability: {kind: linear, from: 0, to: 1}}',
    'on={replay: {capacity: 16, fresh: 0.5}}',
  ])('%s is sensible', (change) => {
    expect(resolveRun(`${SOURCES}.${change}`).warnings).toEqual([]);
  });
});

test.each([
  [
    on('{max_staleness: 4}'),
    'on.max_staleness: no more effect than 1: responses are drawn one step ahead at most; give 1',
  ],
  [on('{probability: 0}'), 'on.probability: at 0 the student never draws; give more, or from: dataset'],
  [
    on('{probability: 0, replay: {fresh: 0.5}}'),
    'on.probability: at 0 the student never draws, so nothing is replayed either',
  ],
  [`${SOURCES}.off={from: teacher, probability: 0}`, 'off.probability: at 0 the teacher never draws'],
])('what has no effect is told: %s', (change, warning) => {
  expect(resolveRun(change).warnings).toEqual([expect.stringContaining(warning)]);
});

test.each([0, 1])('an age of %d step says when responses are drawn', (steps) => {
  expect(resolveRun(on(`{max_staleness: ${steps}}`)).warnings).toEqual([]);
});

describe('what a rollout drawn ahead follows from', () => {
  const moving = '{kind: adaptive, metric: cross_entropy, from: 0.5, to: 1, increment: 0.1, tolerance: 0}';
  const validated = [
    `${STAGE}.data.validation=check`,
    `${STAGE}.evaluation={every: 2, measure: [cross_entropy]}`,
  ];
  const places = [
    ['method.sources.on.probability', on(`{max_staleness: 1, probability: ${moving}}`)],
    ['method.sources.on.mixture', on(`{max_staleness: 1, mixture: ${moving}}`)],
    ['rollout.temperature', on('{max_staleness: 1}'), `${STAGE}.rollout.temperature=${moving}`],
    [
      'rollout.max_new_tokens',
      on('{max_staleness: 1}'),
      `${STAGE}.rollout.max_new_tokens=${moving.replace('0.5, to: 1, increment: 0.1', '4, to: 8, increment: 1')}`,
    ],
  ] as const;

  test.each(places)('does not move with evaluations: %s', (place, ...changes) => {
    expect(problemsOf(...validated, ...changes)).toEqual([
      expect.stringContaining(
        `${STAGE}.${place}: moves after an evaluation, and the responses of part "on" are drawn a step ahead`,
      ),
    ]);
    const fresh = changes.map((change) => change.replace('max_staleness: 1', 'max_staleness: 0'));
    expect(resolveRun(...validated, ...fresh).warnings).toEqual([]);
  });

  test('may change by steps', () => {
    const linear = '{kind: linear, from: 0.2, to: 1}';
    const source = on(`{max_staleness: 1, probability: ${linear}, mixture: ${linear}}`);
    expect(resolveRun(source, `${STAGE}.rollout.temperature=${linear}`).warnings).toEqual([]);
  });
});

test('an age that an iteration reaches means something', () => {
  expect(resolveRun(on('{max_staleness: 4}'), `${STAGE}.method.iteration.epochs=3`).warnings).toEqual([]);
});

test('a mixture needs the teacher whose share it is', () => {
  expect(
    problemsOf(
      'stages.teacher.method={extends: null, name: m, sources: {on: {from: student, share: 1, mixture: 0.2}}, ' +
        'terms: {t: {objective: cross_entropy, part: on}}}',
    ),
  ).toContainEqual(
    expect.stringContaining(
      'stages.teacher.method.sources.on.mixture: needs a teacher, and this stage has none',
    ),
  );
});

describe('replay', () => {
  test('is not combined with iterations, which have their own', () => {
    const problems = problemsOf(on('{replay: {fresh: 0.5}}'), `${STAGE}.method.iteration.epochs=2`);
    expect(problems).toContainEqual(
      expect.stringContaining('on.replay: an iteration of 2 steps uses its own rollouts again already'),
    );
  });

  test('needs room for the rows of one batch', () => {
    expect(problemsOf(on('{replay: {capacity: 3, fresh: 0.5}}'))).toContainEqual(
      expect.stringContaining('on.replay.capacity: a batch takes 4 rows; keep at least as many'),
    );
    expect(() => resolveRun(on('{replay: {capacity: 4, fresh: 0.5}}'))).not.toThrow();
  });

  test.each([
    [on('{replay: {}}'), 'on.replay.fresh: at 1 every draw is new and nothing is replayed'],
    [
      on('{replay: {capacity: 40, fresh: 0.5}, max_staleness: 9}'),
      'on.max_staleness: nothing is replayed: in 9 steps the student draws 36 rows, and the buffer is never full; allow 10',
    ],
  ])('that never happens is told: %s', (change, warning) => {
    expect(resolveRun(change).warnings).toContainEqual(expect.stringContaining(warning));
  });
});

test('staleness beyond what an iteration reaches is refused, up to it is fine', () => {
  const shape = `${STAGE}.method.iteration={minibatches: 2, epochs: 3}`;
  expect(problemsOf(on('{max_staleness: 4}'), shape)).toContainEqual(
    expect.stringContaining('responses 5 steps old; allow that, or make minibatches × epochs at most 5'),
  );
  expect(() => resolveRun(on('{max_staleness: 5}'), shape)).not.toThrow();
});

test('an iteration draws no more rows of a part than a message holds', () => {
  const shape = (minibatches: number) => `${STAGE}.method.iteration={minibatches: ${minibatches}, epochs: 1}`;
  expect(problemsOf(shape(16_385))).toEqual([
    expect.stringContaining(
      'iteration.minibatches: an iteration would draw 65540 rows of part "on" at once; 65536 are the most, so give 16384 or fewer',
    ),
  ]);
  expect(() => resolveRun(shape(16_384))).not.toThrow();
});

describe('a cached teacher', () => {
  const changing = `${STAGE}.rollout.temperature={kind: linear, from: 1, to: 0.5}`;

  test('keeps one response a prompt, so its sampling does not change', () => {
    expect(problemsOf(`${SOURCES}.off.from=teacher`, changing)).toContainEqual(
      expect.stringContaining('off.cache: one response a prompt is kept, and `rollout.temperature` changes'),
    );
  });

  test.each([
    [`${SOURCES}.off={from: teacher, cache: false}`, changing],
    [`${SOURCES}.off.from=teacher`, `${STAGE}.rollout.max_new_tokens=8`],
  ])('is no obstacle to %s with %s', (...changes) => {
    expect(() => resolveRun(...changes)).not.toThrow();
  });
});

test('an adaptive share moves between iterations, never within one', () => {
  const changes = [
    on('{probability: {kind: adaptive, from: 0, to: 1, increment: 0.1, metric: exact_match, mode: max}}'),
    `${STAGE}.method.iteration={minibatches: 2, epochs: 3}`,
  ];
  expect(problemsOf(...changes, `${STAGE}.evaluation.every=10`)).toContainEqual(
    expect.stringContaining(
      'on.probability: moves after an evaluation, which may lie within an iteration of 6',
    ),
  );
  expect(() => resolveRun(...changes, `${STAGE}.evaluation.every=12`)).not.toThrow();
});
