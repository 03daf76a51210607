import { describe, expect, test } from '@jest/globals';
import { problemsOf, resolveRun } from '../workspace.js';

const STAGE = 'stages.student';
const TERM = `${STAGE}.method.terms.on`;
const RETURN = `${TERM}.gradient=return`;
const WEIGHTED = `${TERM}={gradient: return, returns: {importance: token}}`;

test('return and reinforce on the student’s own responses are fine', () => {
  expect(resolveRun(RETURN).warnings).toEqual([]);
  expect(resolveRun(`${TERM}.gradient=reinforce`).warnings).toEqual([]);
});

describe('a policy gradient needs responses that the student draws', () => {
  test.each([
    ['off', 'those of "off" are from the dataset'],
    ['all', 'those of "off" are from the dataset'],
  ])('on part %s', (part, problem) => {
    expect(problemsOf(RETURN, `${TERM}.part=${part}`)).toContainEqual(
      expect.stringMatching(new RegExp(`^${TERM}.part: gradient return needs .*${problem}`)),
    );
  });

  test('not those of the teacher', () => {
    expect(problemsOf(RETURN, `${STAGE}.method.sources.on.from=teacher`)).toContainEqual(
      expect.stringContaining('those of "on" are from the teacher'),
    );
  });

  test('all parts may be the student’s', () => {
    const both = `${STAGE}.method={sources: {off: {from: student}}, terms: {on: {part: all, gradient: return}}}`;
    expect(() => resolveRun(both)).not.toThrow();
  });

  test('in every step', () => {
    for (const probability of [
      '0.9',
      '{kind: linear, from: 0, to: 1}',
      '{kind: constant, value: 1, warmup: 3}',
    ]) {
      expect(problemsOf(RETURN, `${STAGE}.method.sources.on.probability=${probability}`)).toContainEqual(
        expect.stringContaining('its probability is not constantly 1'),
      );
    }
  });
});

describe('cross-entropy on what the student draws itself', () => {
  const ON = `${STAGE}.method.sources.on`;
  const CE = `${TERM}={objective: cross_entropy, critic: null}`;

  test.each([
    [CE],
    [CE, `${TERM}.part=all`],
    [CE, `${ON}.probability=0.5`],
    ['stages.teacher.method.sources.off.from=student'],
  ])('is refused: %s %s', (...changes) => {
    expect(problemsOf(...changes)).toContainEqual(
      expect.stringMatching(
        /\.part: cross_entropy on responses that the student draws itself .* noise alone/,
      ),
    );
  });

  test.each([`${ON}.mixture=0.2`, `${ON}={from: teacher}`, `${TERM}.part=off`, `${ON}.probability=0`])(
    'is not what it is with %s',
    (change) => {
      expect(() => resolveRun(CE, change)).not.toThrow();
    },
  );
});

describe('costs', () => {
  test('of an objective about the next token are none', () => {
    expect(problemsOf(`${TERM}={objective: cross_entropy, critic: null, gradient: return}`)).toContainEqual(
      expect.stringContaining(`${TERM}.gradient: cross_entropy is about the next token`),
    );
  });

  test.each([
    ['gradient: reinforce', `${TERM}.gradient: tvd has no estimate at one token; give gradient: return, or`],
    [
      'gradient: return, returns: {costs: sampled}',
      `${TERM}.returns.costs: tvd has no estimate at one token; give costs: exact, or an objective that has (reverse_kl,`,
    ],
  ])('that are sampled need an estimate: %s', (change, problem) => {
    expect(problemsOf(`${TERM}={objective: tvd, critic: null, ${change}}`)).toContainEqual(
      expect.stringContaining(problem),
    );
  });

  test('that are exact do not', () => {
    expect(() => resolveRun(`${TERM}={objective: tvd, critic: null, gradient: return}`)).not.toThrow();
  });

  test('estimated at another temperature than tokens were drawn at are refused', () => {
    const term = `${TERM}={objective: reverse_kl, critic: null, params: {temperature: 2}, gradient: reinforce}`;
    expect(problemsOf(term)).toContainEqual(
      expect.stringContaining('estimate of reverse_kl is for temperature 1'),
    );
  });
});

describe('a gamma of 0', () => {
  const at0 = (more: string) => `${TERM}={gamma: 0, gradient: reinforce, ${more}}`;

  test('is each token with its own cost, if that is said', () => {
    expect(resolveRun(at0('discount: dropped, returns: {norm: none, baseline: none}')).warnings).toEqual([]);
  });

  test.each([
    [
      at0('returns: {norm: none}'),
      `${TERM}.gamma: 0: the first token of a response alone counts; give discount`,
    ],
    [at0('discount: dropped'), `${TERM}.returns.norm: length: at gamma 0 it divides the one cost`],
    [`${TERM}.gamma=0`, `${TERM}.gamma: 0: the first token of a response alone counts; give gamma: 1`],
  ])('is told what it means: %s', (change, warning) => {
    expect(resolveRun(change).warnings).toEqual([expect.stringContaining(warning)]);
  });
});

describe('responses that another distribution drew', () => {
  test.each([
    [`${STAGE}.method.sources.on.mixture=0.2`, 'a mixture with the teacher'],
    [`${STAGE}.method.sources.on.replay.fresh=0.5`, 'replay'],
    [`${STAGE}.method.sources.on.max_staleness=1`, 'drawing a step ahead'],
    [`${STAGE}.method.iteration.epochs=2`, 'an iteration of 2 steps'],
    [`${STAGE}.rollout.sampling.temperature=0.7`, 'a temperature other than 1'],
    [`${STAGE}.rollout.temperature={kind: linear, from: 1, to: 0.5}`, 'a temperature other than 1'],
  ])('need importance weights: %s', (change, reason) => {
    expect(problemsOf(RETURN, change)).toContainEqual(
      `${TERM}.returns.importance: responses are not drawn from the current student as it is (${reason}); give importance: token or sequence`,
    );
    expect(() => resolveRun(WEIGHTED, change)).not.toThrow();
  });

  test.each(['top_p=0.9', 'top_k=5', 'no_repeat_ngram_size=3', 'suppress_eos=true'])(
    'and left tokens out cannot be weighted: %s',
    (change) => {
      const sampling = `${STAGE}.rollout.sampling.${change}`;
      for (const term of [RETURN, `${TERM}.gradient=reinforce`, WEIGHTED]) {
        expect(problemsOf(term, sampling)).toEqual([
          expect.stringMatching(
            `^${sampling.split('=')[0]}: keeps tokens from being drawn .*\\(term "on"\\)`,
          ),
        ]);
      }
      expect(() => resolveRun(sampling)).not.toThrow();
    },
  );

  test('do not matter to the gradient at given states, nor where the temperature in effect is 1', () => {
    expect(() =>
      resolveRun(`${STAGE}.method.iteration.epochs=2`, `${STAGE}.rollout.temperature=2`),
    ).not.toThrow();
    expect(() =>
      resolveRun(RETURN, `${STAGE}.rollout={temperature: 1, sampling: {temperature: 0.5}}`),
    ).not.toThrow();
  });

  test('at a temperature that falls and never is 0 have some', () => {
    const halving = '{kind: step, from: 1, factor: 0.5, every: 5}';
    const pieces = `{kind: sequence, pieces: [{steps: 5, shape: 1}, {steps: 5, shape: ${halving}}]}`;
    for (const temperature of [halving, pieces]) {
      expect(() => resolveRun(WEIGHTED, `${STAGE}.rollout.temperature=${temperature}`)).not.toThrow();
    }
  });

  test('greedily drew them have no weights', () => {
    for (const change of ['sampling.temperature=0', 'temperature={kind: linear, from: 1, to: 0}']) {
      expect(problemsOf(WEIGHTED, `${STAGE}.rollout.${change}`)).toContainEqual(
        expect.stringContaining(`${TERM}.gradient: return needs responses that are drawn; at temperature 0`),
      );
    }
  });
});

describe('weights and baselines', () => {
  test.each([
    ['{clip: 0.2}', `${TERM}.returns.clip: clips the ratio of a token; it needs importance: token`],
    ['{clip: 0.2, importance: sequence}', `${TERM}.returns.clip: clips the ratio of a token`],
    ['{ratio_limit: 5}', `${TERM}.returns.ratio_limit: there is no weight to limit`],
  ])('%s is refused', (returns, problem) => {
    expect(problemsOf(`${TERM}={gradient: return, returns: ${returns}}`)).toContainEqual(
      expect.stringContaining(problem),
    );
  });

  test.each([
    ['return', '{norm: none}', 'returns.norm: none: with return a sum of costs pays for ending early'],
    ['reinforce', '{norm: none}', 'returns.norm: none: with reinforce'],
    ['return', '{baseline: none}', 'returns.baseline: none: with return'],
  ])('%s with %s may collapse, and says so', (gradient, returns, warning) => {
    expect(resolveRun(`${TERM}={gradient: ${gradient}, returns: ${returns}}`).warnings).toContainEqual(
      expect.stringContaining(warning),
    );
  });

  test.each([
    ['{returns: {baseline: none}}', 'terms.on.returns: no effect with gradient: token'],
    ['{discount: dropped}', 'terms.on.discount: no effect: gamma is 1'],
    [
      '{gamma: 0.9, discount: dropped}',
      'terms.on.discount: no effect: with gradient: token there are no returns',
    ],
  ])('%s has no effect', (term, warning) => {
    expect(resolveRun(`${TERM}=${term}`).warnings).toContainEqual(expect.stringContaining(warning));
  });
});
