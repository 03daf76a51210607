import { describe, expect, test } from '@jest/globals';
import { ConfigError } from '../../../ts/config/errors.js';
import { shippedConfigs } from '../../../ts/config/files.js';
import { resolveSweep } from '../../../ts/sweep/resolve.js';
import type { ParameterValue } from '../../../ts/sweep/space.js';
import { configErrorOf } from '../config/workspace.js';
import { LR, resolveSmall, resolveText, SWEEP, WEIGHT } from './scene.js';

const problems = (...overrides: readonly string[]) =>
  configErrorOf(() => resolveSmall(...overrides)).message.split('\n');

const problemOf = (text: string) => configErrorOf(() => resolveText(text)).message;

describe('a sweep', () => {
  test('fills in its objective from the stage', () => {
    const { objective, base, warnings } = resolveSmall();
    expect(objective).toEqual({
      dataset: 'check',
      metric: 'exact_match',
      decoding: 'sampled',
      mode: 'max',
      test_set: false,
    });
    expect(base.stages.student?.evaluation.every).toBe(5);
    expect(warnings).toEqual([]);
  });

  test('judged by a loss takes own responses, and less of it', () => {
    const { objective } = resolveSmall(
      'objective.metric=forward_kl',
      'stages.student.evaluation.measure=[forward_kl]',
    );
    expect(objective).toMatchObject({ decoding: 'teacher_forced', mode: 'min' });
  });

  test('puts parameters over the run, and leaves out test sets where it is not judged on them', () => {
    const set = 'stages.student.data.test=[seen]';
    const data = 'data.seen={source: "builtin:microtasks", split: seen}';
    const resolved = resolveSmall(data, set);
    const parameters = { [LR]: 3e-3, [WEIGHT]: 0.5 };
    const whole = resolved.configure(parameters).stages.student;
    expect(whole?.training.lr).toMatchObject({ kind: 'cosine', from: 3e-3 });
    expect(whole?.method.terms.anchor?.weight).toMatchObject({ kind: 'constant', value: 0.5 });
    expect(whole?.data.test).toEqual(['seen']);
    expect(resolved.configureTrial(parameters).stages.student?.data.test).toEqual([]);
  });

  test('has a hash of what is searched, not of how long', () => {
    const { hash } = resolveSmall();
    expect(resolveSmall('search.trials=9', 'name=other').hash).toBe(hash);
    for (const change of [
      'search.seed=1',
      `space={${WEIGHT}: {values: [0, 1]}}`,
      'seed=4',
      'objective.decoding=greedy',
    ])
      expect(resolveSmall(change).hash).not.toBe(hash);
  });

  test.each(shippedConfigs('sweeps'))('%s resolves without warning', (name) => {
    const resolved = resolveSweep(name);
    expect(resolved.warnings).toEqual([]);
    expect(resolved.config.name).toBe(name);
    expect(resolved.objective.test_set).toBe(false);
  });

  test('is overridden in its own keys, or in those of its run', () => {
    const resolved = resolveSmall(
      'search={kind: tpe, trials: 4}',
      'stages.student.training.steps=7',
      'seed=3',
    );
    expect(resolved.config.search.kind).toBe('tpe');
    expect(resolved.base.stages.student?.training.steps).toBe(7);
    expect(resolved.base.seed).toBe(3);
    expect(resolveSmall('search.seed=3', 'search.kind=tpe').config.search).toMatchObject({
      kind: 'tpe',
      seed: 3,
      trials: 4,
    });
    expect(resolveSmall(`space={${LR}: {values: [1.0e-3]}}`).config.space[LR]).toEqual({ values: [1e-3] });
  });

  test('varies what a method has that `set` names', () => {
    const alpha = 'stages.student.method.terms.alpha_beta.params.alpha';
    const text = SWEEP.replace('space:', '  stages.student.method: abkd\nspace:')
      .replace(WEIGHT, alpha)
      .replace('[0, 0.1, 0.5]', '[0.1, 0.5]');
    const method = resolveText(text).configure({ [LR]: 1e-3, [alpha]: 0.5 }).stages.student?.method;
    expect(method?.name).toBe('abkd');
    expect(method?.terms.alpha_beta?.params.alpha).toBe(0.5);
  });

  test('varies what its run leaves out or sets to null', () => {
    const stage = (path: string, values: string, value: ParameterValue) =>
      resolveSmall(`space={stages.student.${path}: {values: ${values}}}`).configure({
        [`stages.student.${path}`]: value,
      }).stages.student;
    expect(stage('method.terms.anchor.params.temperature', '[1, 4]', 4)?.method.terms.anchor?.params).toEqual(
      {
        temperature: 4,
      },
    );
    expect(stage('method.critics.on.head', '[policy, mlp]', 'mlp')?.method.critics.on?.head).toBe('mlp');
    expect(stage('training.lora.rank', '[4, 8]', 8)?.training.lora).toMatchObject({ rank: 8, alpha: 64 });
    const term = '{objective: cross_entropy, part: off}';
    const added = { objective: 'cross_entropy', part: 'off' };
    expect(stage('method.terms.more', `[null, ${term}]`, added)?.method.terms.more).toMatchObject(added);
  });
});

describe('is refused before anything starts, with file, line and key', () => {
  test('a wrong key, and a wrong dimension', () => {
    expect(problemOf(SWEEP.replace('stage:', 'stge:'))).toMatch(
      /sweep\.yaml:3:1: stge: unknown key; did you mean "stage"/,
    );
    expect(
      problemOf(SWEEP.replace('log_uniform: [1.0e-4, 1.0e-2]', 'log_uniform: [1.0e-2, 1.0e-4]')),
    ).toMatch(/sweep\.yaml:8:.*log_uniform: expected \[low, high\], low below high, got \[0\.01,0\.0001\]/);
    expect(problemOf(SWEEP.replace('log_uniform: [1.0e-4, 1.0e-2]', 'log_uniform: [0, 1]'))).toMatch(
      /log_uniform\.0: expected number above 0/,
    );
    expect(problemOf(SWEEP.replace('[0, 0.1, 0.5]', '[0, 0.1, 0]'))).toMatch(/a value occurs twice/);
    expect(problemOf(SWEEP.replace('{values: [0, 0.1, 0.5]}', '{int: [0, 4], log: true}'))).toMatch(
      /`log` needs/,
    );
  });

  test('a run that is not there', () => {
    expect(problemOf(SWEEP.replace('./run.yaml', 'quickstrt'))).toMatch(
      /sweep\.yaml:2:6: run: unknown run configuration "quickstrt"; did you mean "quickstart"/,
    );
  });

  test('a path that the run does not have', () => {
    expect(problemOf(SWEEP.replace('lr.from', 'lr.frm'))).toMatch(
      /sweep\.yaml:8:3: space\.stages\.student\.training\.lr\.frm: stages\.student\.training\.lr has no "frm"; did you mean "from"/,
    );
    expect(problems('space={stagse.x: {values: [1]}}')[0]).toMatch(
      /the run has no "stagse"; did you mean "stages"/,
    );
  });

  test('a path that no run has, below what this one leaves out', () => {
    expect(problems('space={stages.student.training.lora.rnk: {values: [1, 2]}}')).toEqual([
      expect.stringMatching(/stages\.student\.training\.lora has no "rnk"; did you mean "rank"/),
    ]);
    expect(problems('space={stages.student.method.sources.on.replay.fresh.form: {values: [1, 2]}}')).toEqual([
      expect.stringMatching(/sources\.on\.replay\.fresh has no "form"; did you mean "from"/),
    ]);
    expect(problems('space={stages.student.method.terms.anchr.weight: {values: [1, 2]}}')).toEqual([
      expect.stringMatching(/method\.terms has no "anchr"; did you mean "anchor"/),
    ]);
    expect(problems('space={stages.student.constructor: {values: [1, 2]}}')).toEqual([
      expect.stringMatching(/stages\.student has no "constructor"/),
    ]);
  });

  test('defaults, which the run in its folder has in every stage and dataset already', () => {
    expect(problems('space={stage_defaults.training.lr.from: {values: [0.001, 0.002]}}')).toEqual([
      expect.stringMatching(
        /a sweep varies the run with its stage_defaults filled in; name one of stages\.teacher\.training\.lr\.from, stages\.student\.training\.lr\.from$/,
      ),
    ]);
    expect(problems('space={data_defaults.limit: {int: [10, 20]}}')).toEqual([
      expect.stringContaining('its data_defaults filled in; name one of data.train.limit, data.check.limit'),
    ]);
    expect(resolveSmall('stage_defaults.training.steps=30').base.stages.teacher?.training.steps).toBe(30);
  });

  test('a fixed setting that the run does not know, where the sweep has it', () => {
    expect(problemOf(SWEEP.replace('every: 5', 'evry: 5'))).toMatch(
      /sweep\.yaml:5:3: stages\.student\.evaluation\.evry: unknown key; did you mean "every"/,
    );
    expect(problems('stages.student.training.stps=3')).toEqual([
      '--set stages.student.training.stps=3: stages.student.training.stps: unknown key; did you mean "steps"?',
    ]);
  });

  test('a corner that cannot be run, with its parameters', () => {
    const [problem, ...more] = problemOf(
      SWEEP.replace('log_uniform: [1.0e-4, 1.0e-2]', 'uniform: [1, 2000]'),
    ).split('\n');
    expect(more).toEqual([]);
    expect(problem).toMatch(
      /sweep\.yaml:8:.*every value must be from 0 to 1000.*\(with stages.*lr\.from=2000, .*weight=0\)$/,
    );
  });

  test('paths that overlap with each other or with what is fixed', () => {
    expect(problems(`space={stages.student.training.lr: {values: [1.0e-3]}}`)).toEqual([
      expect.stringContaining(`overlaps with ${LR}; leave one out`),
    ]);
    expect(
      problems(
        'space={stages.student.evaluation: {values: [{rows: 1}]}}',
        'stages.student.evaluation.rows=5',
      ),
    ).toEqual([
      expect.stringContaining('what `set` says of stages.student.evaluation.rows would be varied with it'),
    ]);
  });

  test('a dimension that the judged student does not depend on', () => {
    expect(problems('space={worker.threads: {values: [1, 2]}, max_hours: {uniform: [1, 2]}}')).toEqual([
      expect.stringContaining('worker.threads: changes nothing of what stage "student" trains'),
      expect.stringContaining('max_hours: changes nothing'),
    ]);
    expect(resolveSmall('space={stages.teacher.training.steps: {int: [5, 10]}}').config.stage).toBe(
      'student',
    );
  });

  test('a search without an end, and a grid over a range', () => {
    expect(problems('search.trials=null')).toEqual([
      expect.stringContaining('random needs a number of trials'),
    ]);
    expect(problems('search.kind=grid')).toEqual([expect.stringContaining('a grid needs {values')]);
  });

  test('an unknown stage', () => {
    expect(problems('stage=studnt')).toEqual([
      '--set stage=studnt: stage: unknown stage "studnt"; did you mean "student"?',
    ]);
  });
});

describe('the objective', () => {
  const SEEN = [
    'data.seen={source: "builtin:microtasks", split: seen}',
    'stages.student.data.test=[seen]',
  ] as const;

  test('on a test set is refused, and warned of where it is asked for', () => {
    expect(problems(...SEEN, 'objective.dataset=seen')).toEqual([
      expect.stringMatching(/"seen" holds the rows of a test set.*say `allow_test: true`/),
    ]);
    const { objective, warnings, configureTrial } = resolveSmall(
      ...SEEN,
      'objective={dataset: seen, allow_test: true}',
    );
    expect(objective).toMatchObject({ dataset: 'seen', test_set: true });
    expect(warnings).toEqual([expect.stringContaining('report such figures as chosen')]);
    expect(configureTrial({}).stages.student?.data.test).toEqual(['seen']);
  });

  test('on a validation set with the rows of a test set is the same', () => {
    expect(problems(...SEEN, 'data.check.split=seen')).toEqual([
      expect.stringMatching(/"check" holds the rows of a test set/),
    ]);
  });

  test('on a dataset that the stage does not evaluate is refused', () => {
    expect(problems('objective.dataset=train')).toEqual([
      expect.stringContaining('unknown dataset of stage "student" "train"'),
    ]);
    expect(problems('stages.student.data.validation=null', 'stages.student.evaluation.every=0')).toEqual([
      expect.stringContaining('stage "student" has no validation set'),
    ]);
  });

  test.each([
    [['objective.metric=rouge_l'], /does not evaluate it \(sampled\); put it into evaluation\.metrics/],
    [['objective.metric=tvd'], /does not evaluate it \(teacher_forced\); put it into evaluation\.measure/],
    [['objective.decoding=greedy', 'stages.student.evaluation.greedy=false'], /does not decode greedily/],
    [['objective.decoding=sampled', 'stages.student.evaluation.seeds=[]'], /has no decoding seeds/],
  ])('that the stage does not evaluate is refused: %j', (set, message) => {
    expect(problems(...set)).toEqual([expect.stringMatching(message)]);
  });

  test.each([
    [['stages.student.evaluation.every=0'], /cannot be watched: the stage's evaluation\.every is 0/],
    [['objective.decoding=greedy'], /cannot be watched: .* this objective is greedy on check/],
  ])('that is not seen during training cannot prune: %j', (set, message) => {
    expect(problems('pruning.min_steps=5', ...set)).toEqual([expect.stringMatching(message)]);
  });

  test('pruning that never comes into effect is warned of', () => {
    expect(resolveSmall('pruning.min_steps=16').warnings).toEqual([
      expect.stringContaining('no effect: the first evaluation after them is that of step 20, of 20'),
    ]);
    expect(resolveSmall('pruning.min_steps=5').warnings).toEqual([]);
  });

  test('is checked in every corner', () => {
    const error = configErrorOf(() =>
      resolveSmall('space={stages.student.evaluation.metrics: {values: [[exact_match], [rouge_l]]}}'),
    );
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(/does not evaluate it .*\(with .*metrics=\["rouge_l"\]\)/);
  });
});
