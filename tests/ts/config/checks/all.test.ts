import { describe, expect, test } from '@jest/globals';
import { problemsOf, RUN, resolveRun, resolveText } from '../workspace.js';

const METHOD = 'stages.student.method';

describe('names that refer to something', () => {
  test.each([
    ['stages.teacher.student=bigg', 'stages.teacher.student: unknown model "bigg"; did you mean "big"?'],
    [
      'stages.student.student=teacher',
      'stages.student.student: "teacher" is a stage, no model; write {stage: teacher}',
    ],
    [
      'stages.student.teacher.stage=techer',
      'stages.student.teacher.stage: unknown stage "techer"; did you mean "teacher"?',
    ],
    [
      'stages.teacher.student={stage: student}',
      'stages.teacher.student.stage: stage "student" does not come before this one; order the stages so',
    ],
    [
      'stages.teacher.student={stage: teacher}',
      'stages.teacher.student.stage: stage "teacher" does not come before this one; order the stages so',
    ],
    [
      'stages.student.data.train=trian',
      'stages.student.data.train: unknown dataset "trian"; did you mean "train"?',
    ],
    ['stages.student.data.test=[check, nope]', 'stages.student.data.test.1: unknown dataset "nope"'],
    ['stages.student.data.validation=chek', 'stages.student.data.validation: unknown dataset "chek"'],
    [`${METHOD}.sources.off.data=x`, `${METHOD}.sources.off.data: unknown dataset "x"`],
    [
      `${METHOD}.critics.on={form: ratio, bound: tanh}`,
      `${METHOD}.critics.on.form: a ratio is the best critic under the bound mixture, within ±2; set \`bound: mixture, bound_value: 2\` (now tanh, 2)`,
    ],
    [
      `${METHOD}.critics.on={form: ratio, bound_value: 0.5}`,
      `${METHOD}.critics.on.form: a ratio is the best critic under the bound mixture, within ±2`,
    ],
    [
      'data.train.template_options={enable_thinking: false}',
      'data.train.template_options: are of `template: chat`',
    ],
    [`${METHOD}.critics.on.form=free`, `${METHOD}.critics.on.head: policy gives a guess at the student`],
    [
      `${METHOD}.critics.on={head: policy, form: ratio, spectral_norm: true}`,
      `${METHOD}.critics.on.spectral_norm: the head policy takes none`,
    ],
    [
      `${METHOD}.critics.on={head: policy, form: ratio, gradient_penalty: 10}`,
      `${METHOD}.critics.on.gradient_penalty: the head policy takes none`,
    ],
    [
      `${METHOD}.terms.anchor.part=offf`,
      `${METHOD}.terms.anchor.part: unknown part "offf"; did you mean "off"?`,
    ],
    [
      `${METHOD}.terms.anchor.objective=forward_lk`,
      `${METHOD}.terms.anchor.objective: unknown objective "forward_lk"; did you mean "forward_kl"?`,
    ],
    [
      `${METHOD}.terms.anchor.params={temprature: 2}`,
      `${METHOD}.terms.anchor.params.temprature: unknown parameter of forward_kl "temprature"; did you mean "temper`,
    ],
    [`${METHOD}.critics.on.part=onn`, `${METHOD}.critics.on.part: unknown part "onn"; did you mean "on"?`],
    [`${METHOD}.terms.on.critic=om`, `${METHOD}.terms.on.critic: unknown critic "om"; did you mean "on"?`],
    [
      'stages.student.evaluation={every: 5, best: {metric: exactmatch}}',
      'stages.student.evaluation.best.metric: unknown metric "exactmatch"; did you mean "exact_match"?',
    ],
  ])('%s', (override, problem) => {
    expect(problemsOf(override)).toContainEqual(expect.stringContaining(problem));
  });

  test('an unknown method is named with the nearest one', () => {
    expect(problemsOf('stages.student.method=amd')[0]).toContain(
      'unknown method "amd"; did you mean "ammd"?',
    );
  });
});

describe('methods', () => {
  test.each([
    [`${METHOD}.sources.on.share=0.4`, `${METHOD}.sources: the shares must sum to 1; they sum to 0.9`],
    [`${METHOD}.terms.on.critic=null`, `${METHOD}.terms.on: moment needs a critic`],
    [
      `${METHOD}.terms.anchor.critic=on`,
      `${METHOD}.terms.anchor.critic: forward_kl takes no critic; leave it out`,
    ],
    [
      'stages.teacher.method.adversary.warmup_steps=2',
      'adversary.warmup_steps: the method has no critic to warm',
    ],
    [
      `${METHOD}={adversary: {warmup_steps: 2}, critics: {on: {trained: false}, off: {trained: false}}}`,
      'adversary.warmup_steps: no critic learns (trained: false), so there is none to warm up',
    ],
    [
      `${METHOD}.terms.anchor={objective: alpha_beta, params: {alpha: 0.5, beta: -0.5}}`,
      `${METHOD}.terms.anchor.params: alpha, beta and their sum must not be 0, nor pass it; the limits are forward_kl`,
    ],
    ...[
      ['jsd', 'beta', 2, 'from 0 to 1'],
      ['jsd', 'beta', -1, 'from 0 to 1'],
      ['skew_reverse_kl', 'alpha', 1.1, 'from 0 to 1'],
      ['forward_kl', 'temperature', 0, 'from 0.01 to 100'],
      ['alpha_beta', 'temperature', -1, 'from 0.01 to 100'],
      ['exact_moment_tanh', 'bound_value', -1, 'from 0.001 to 1000'],
    ].map(([objective, param, value, range]) => [
      `${METHOD}.terms.anchor={objective: ${objective}, params: {${param}: ${value}}}`,
      `${METHOD}.terms.anchor.params.${param}: must be ${range}; it is ${value}`,
    ]),
    ...[
      ['jsd', 'beta', '{kind: linear, from: 0.5, to: 1.5}', 'must be from 0 to 1; it is 1.5'],
      [
        'forward_kl',
        'temperature',
        '{kind: linear, from: 2, to: 1, warmup: 5}',
        'must be from 0.01 to 100; it is 0',
      ],
      ['jsd', 'beta', '{kind: linear, frm: 0.5, to: 1}', 'unknown key; did you mean "from"?'],
      ['jsd', 'beta', 'half', 'expected a number or a mapping with kind: constant, linear'],
    ].map(([objective, param, value, problem]) => [
      `${METHOD}.terms.anchor={objective: ${objective}, params: {${param}: ${value}}}`,
      `${METHOD}.terms.anchor.params.${param}${problem?.startsWith('unknown') ? '.frm' : ''}: ${problem}`,
    ]),
    [
      `${METHOD}.terms.anchor={objective: alpha_beta, params: {alpha: {kind: linear, from: -0.2, to: 0.2}}}`,
      `${METHOD}.terms.anchor.params: alpha, beta and their sum must not be 0, nor pass it`,
    ],
    [
      `${METHOD}.terms.on.params.gamma=0.9`,
      `${METHOD}.terms.on.params.gamma: unknown parameter of moment "gamma"; there are none`,
    ],
    [
      'stages.teacher.method={extends: null, name: m, sources: {all: {from: dataset, share: 1}}, terms: {}}',
      'stages.teacher.method.sources.all: "all" stands for all parts',
    ],
    [
      'stages.teacher.method={extends: null, name: m, sources: {}, terms: {}}',
      'stages.teacher.method.terms: a method needs a term',
    ],
    [
      'stages.teacher.method={extends: null, name: m, sources: {}, terms: {}}',
      'stages.teacher.method.sources: a method needs at',
    ],
    [
      'stages.student.training.batch_size=1',
      'a batch of 1 rows leaves none for part "on"; give it 2 or more, one for each part',
    ],
  ])('%s', (override, problem) => {
    expect(problemsOf(override)).toContainEqual(expect.stringContaining(problem));
  });

  test('shares may carry the rounding of decimals', () => {
    const { config } = resolveRun(
      'stages.teacher.method={extends: null, name: m, sources: {a: {from: dataset, share: 0.1}, b: {from: dataset, share: 0.2}, ' +
        'c: {from: dataset, share: 0.7}}, terms: {t: {objective: cross_entropy, part: all}}}',
    );
    expect(Object.keys(config.stages.teacher?.method.sources ?? {})).toEqual(['a', 'b', 'c']);
  });

  test.each([
    ['a teacher objective', 'stages.student.teacher=null', 'method.terms.on.objective: needs a teacher'],
    [
      'teacher-generated rows',
      'stages.teacher.method.sources.off.from=teacher',
      'stages.teacher.method.sources.off.from: needs a teacher',
    ],
    [
      'a measure',
      'stages.teacher.evaluation.measure=[forward_kl]',
      'stages.teacher.evaluation.measure.0: forward_kl needs a teacher',
    ],
    [
      'a critic on the teacher',
      'stages.teacher.method.critics={c: {part: off}}',
      'stages.teacher.method.critics.c.features: needs a teacher',
    ],
  ])('%s without teacher is refused', (_, override, problem) => {
    expect(problemsOf(override)).toContainEqual(expect.stringContaining(problem));
  });
});

describe('evaluation and length', () => {
  test.each([
    ['stages.student.evaluation={greedy: false, seeds: []}', 'evaluation.seeds: nothing would be decoded'],
    ['stages.student.evaluation.seeds=[1, 1]', 'evaluation.seeds: a seed occurs twice'],
    [
      'stages.student={data: {validation: null}, evaluation: {every: 3}}',
      'stages.student.evaluation.every: needs a validation set',
    ],
    [
      'stages.student={data: {validation: null}, evaluation: {initial: true}}',
      'stages.student.evaluation.initial: needs a validation set',
    ],
    [
      'stages.student={training: {steps: null, epochs: 1}, method: {sources: {on: {data: check}, off: {data: check}}}}',
      'stages.student.training.epochs: no source uses the training set; give `steps`',
    ],
    ['stages=null', 'stages: expected mapping'],
    ['stages={teacher: null, student: null}', 'stages: a run needs at least one stage'],
  ])('%s', (override, problem) => {
    expect(problemsOf(override)).toContainEqual(expect.stringContaining(problem));
  });
});

describe('what a stage trains', () => {
  test.each([
    [
      'models.tiny.dtype=bfloat16',
      'models.tiny.dtype: stage "student" trains these weights, which must be float32',
    ],
    [
      `stages.student.student={source: org/model, dtype: float16}`,
      'stages.student.student.dtype: stage "student" trains these weights, which must be float32; give `dtype: float32`',
    ],
  ])('must be in float32: %s', (override, problem) => {
    expect(problemsOf(override)).toContainEqual(expect.stringContaining(problem));
  });

  test('is float32 also where it goes on from a stage that trained adapters', () => {
    expect(
      problemsOf(
        'models.big.dtype=bfloat16',
        'stages.teacher.training.lora={}',
        'stages.student.student={stage: teacher}',
      ),
    ).toEqual([expect.stringContaining('models.big.dtype: stage "student" trains these weights')]);
  });

  test('may be in 16 bits below adapters, and so may a model that only teaches', () => {
    expect(() => resolveRun('models.tiny.dtype=bfloat16', 'stages.student.training.lora={}')).not.toThrow();
    expect(() => resolveRun('stages.student.teacher={source: org/model, dtype: bfloat16}')).not.toThrow();
  });
});

describe('the order of rows', () => {
  test('a name alone is short for the mapping', () => {
    const orders = ['gap', '{by: gap}', '{by: gap, descending: true, epochs: null}'].map(
      (order) => resolveRun(`stages.student.training.order=${order}`).config.stages.student?.training.order,
    );
    expect(orders[0]).toEqual({ by: 'gap', descending: false, epochs: 1 });
    expect(orders[1]).toEqual(orders[0]);
    expect(orders[2]).toEqual({ by: 'gap', descending: true, epochs: null });
    expect(resolveRun().config.stages.student?.training.order.by).toBe('shuffle');
  });

  test.each(['teacher_loss', 'gap'])('by %s needs a teacher', (by) => {
    expect(problemsOf(`stages.teacher.training.order=${by}`)).toEqual([
      expect.stringContaining(`stages.teacher.training.order.by: ${by} needs a teacher`),
    ]);
    const { warnings } = resolveRun('stages.teacher.teacher=tiny', `stages.teacher.training.order=${by}`);
    expect(warnings).toEqual([]);
  });

  test('at random has no direction and no end, and settings of them are warned of', () => {
    const warnings = (order: string) => resolveRun(`stages.student.training.order=${order}`).warnings;
    expect(warnings('{descending: true, epochs: null}')).toEqual([
      expect.stringMatching(/training\.order\.descending: no effect: `by` is shuffle$/),
      expect.stringMatching(/training\.order\.epochs: no effect: `by` is shuffle$/),
    ]);
    expect(warnings('{by: length, descending: true, epochs: 2}')).toEqual([]);
  });

  test('an unknown one is told with its place', () => {
    expect(problemsOf('stages.student.training.order=lenght')[0]).toContain('training.order.by');
  });
});

describe('variables of a chat template', () => {
  test('are taken away by null, one by one or all', () => {
    const defaults = 'data_defaults={template: chat, template_options: {enable_thinking: false, date: x}}';
    const options = (...overrides: readonly string[]) =>
      resolveRun(defaults, ...overrides).config.data.train?.template_options;
    expect(options()).toEqual({ enable_thinking: false, date: 'x' });
    expect(options('data.train.template_options={date: null}')).toEqual({ enable_thinking: false });
    const none = 'data.train={template: plain, template_options: {enable_thinking: null, date: null}}';
    expect(options(none)).toEqual({});
  });
});

describe('warnings', () => {
  test('of a first guess are not for a critic that begins as the policy', () => {
    const critic = (settings: string) => resolveRun(`${METHOD}.critics.on=${settings}`).warnings;
    expect(critic('{head: policy}')).toEqual([]);
    expect(critic('{head: mlp}')).toHaveLength(1);
  });

  test.each([
    [`${METHOD}.terms.on=null`, `run.yaml:15:5: ${METHOD}.critics.on: no term uses this critic`],
    [`${METHOD}.terms.on.part=all`, 'critic "on" learns on part "on", the term is on "all"'],
    [
      `${METHOD}.critics.on.head=mlp`,
      `${METHOD}.critics.on.form: a ratio begins with values that are far from 0`,
    ],
    ['stages.teacher.teacher=tiny', 'stages.teacher.teacher: nothing uses the teacher'],
    ['stages.student.evaluation.best={metric: exact_match}', 'evaluation.best: no effect'],
    ['stages.teacher.method.iteration.epochs=4', 'method.iteration: no effect: the method generates nothing'],
    [
      `stages.student={training: {batch_size: 4}, method: {sources: {on: {share: 0.125}, off: {share: 0.875}}}}`,
      'part "on" has 1 of 4 rows where its share means 0.5: every part has one',
    ],
    ['stages.student.training.lr.warmup=20', '20 steps of warm-up are as many as the 20 of training'],
    ['data.more={source: "builtin:microtasks"}', 'data.more: no stage uses it'],
    [
      `${METHOD}.critics.on={trained: false, target_decay: 0.9}`,
      'critics.on.target_decay: no effect: the critic never learns',
    ],
    [
      `${METHOD}.critics.on={trained: false, features: teacher}`,
      'critics.on.trained: no effect: from the teacher’s states the head policy begins with 0 everywhere',
    ],
    [
      `${METHOD}.critics.on={trained: false, gradient_penalty: 10, head: mlp, form: free}`,
      'critics.on.gradient_penalty: no effect: the critic never learns',
    ],
    ['stages.teacher.method.on_policy_weight=0.7', 'on_policy_weight: no effect: no term has a `scale`'],
    ['stages.teacher.method.adversary.turns=3', 'adversary.turns: no effect: the method has no critic'],
    ['stages.teacher.method.adversary.optimizer.beta1=0.5', 'adversary.optimizer: no effect: the method has'],
    [
      `${METHOD}={adversary: {lr_ratio: 5}, critics: {on: {trained: false}, off: {trained: false}}}`,
      'adversary.lr_ratio: no effect: no critic learns (trained: false)',
    ],
    [
      `${METHOD}.critics.on.gradient_penalty_target=1`,
      'critics.on.gradient_penalty_target: no effect: `gradient_penalty` is 0',
    ],
    [
      `${METHOD}.terms.anchor={objective: jsd, params: {beta: 0.02}}`,
      `${METHOD}.terms.anchor.params.beta: with beta 0.02 the loss is about 0.02 of forward KL; give 0 for`,
    ],
    [
      `${METHOD}.terms.anchor={objective: jsd, params: {beta: {kind: linear, from: 0.5, to: 1}}}`,
      'anchor.params.beta: the loss vanishes where beta comes near 0 or 1; keep it from 0.05 to 0.95',
    ],
    [
      `${METHOD}.terms.anchor={objective: jsd, params: {beta: 0.96}}`,
      'with beta 0.96 the loss is about 0.04 of reverse KL; give 1 for the KL itself, or a beta from 0.05 to 0.95',
    ],
  ])('%s', (override, warning) => {
    const { warnings } = resolveRun(override);
    const place = warning.startsWith('run.yaml') ? warning.slice(warning.indexOf(': ') + 2) : warning;
    expect(warnings).toContainEqual(expect.stringContaining(place));
  });

  test.each([0, 0.05, 0.5, 0.95, 1])('a JSD of beta %d is well scaled', (beta) => {
    const term = `${METHOD}.terms.anchor={objective: jsd, params: {beta: ${beta}}}`;
    expect(resolveRun(term).warnings).toEqual([]);
  });

  test('a model that no stage names is reported with its place', () => {
    const text = RUN.replace('student: tiny', 'student: big');
    expect(resolveText(text).warnings).toEqual(['run.yaml:7:3: models.tiny: no stage uses it']);
  });
});
