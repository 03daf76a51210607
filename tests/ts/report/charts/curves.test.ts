import { describe, expect, test } from '@jest/globals';
import type { StepRow } from '../../../../ts/metrics/rows.js';
import { curvesOf as curvesOfSeries, windows } from '../../../../ts/report/charts/curves.js';
import { seriesOfStages } from '../../../../ts/report/charts/series.js';
import type { StageData } from '../../../../ts/report/read/run.js';
import { MOST_SPANS, Track } from '../../../../ts/report/read/step_history.js';
import { makeEvaluation, makeStep } from '../../metrics/make_rows.js';
import { makeStage, type StageChange } from '../make_run.js';

const stage = (name: string, change: StageChange): StageData => makeStage({ name, ...change });

const steps = (count: number, loss: (step: number) => number | null): StepRow[] =>
  Array.from({ length: count }, (_, at) => makeStep({ step: at + 1, metrics: { loss: loss(at + 1) } }));
const track = (count: number, figure: (step: number) => number | null): Track => {
  const made = new Track();
  for (let step = 1; step <= count; step += 1) {
    const own = figure(step);
    if (own !== null) made.add(step, own);
  }
  return made;
};

const curvesOf = (stages: readonly StageData[]) => curvesOfSeries(seriesOfStages(stages));

describe('windows', () => {
  test('few points are shown as they were logged', () => {
    expect(windows([track(3, (step) => step)], 80)).toEqual(
      [1, 2, 3].map((step) => ({ step, mean: step, low: step, high: step })),
    );
  });

  // The second has more steps than a track has spans.
  test.each([1000, 100_000])(
    'of %i steps are means with their extremes; no step is lost or counted twice',
    (count) => {
      const points = windows([track(count, (step) => step)], 80);
      expect(points.length).toBeGreaterThan(60);
      expect(points.length).toBeLessThanOrEqual(80);
      for (const { step, mean, low, high } of points) expect([mean, high]).toEqual([(low + high) / 2, step]);
      expect(points.map(({ low }) => low)).toEqual([1, ...points.slice(0, -1).map(({ step }) => step + 1)]);
      expect(points.at(-1)?.step).toBe(count);
    },
  );

  test('the first of a thousand steps', () => {
    const [first] = windows([track(1000, (step) => step)], 80);
    expect(first).toEqual({ step: 13, mean: 7, low: 1, high: 13 });
  });

  test('figures that were not finite are left out, and make no gap of their own', () => {
    const odd = windows([track(4, (step) => (step % 2 === 0 ? null : step))], 80);
    expect(odd.map(({ step }) => step)).toEqual([1, 3]);
    expect(windows([track(4, () => null)], 80)).toEqual([]);
  });
});

describe('several training seeds', () => {
  test('are drawn as far as all of them went: a mean over those that go on would jump', () => {
    const members = [track(3, () => 1), track(6, () => 5), track(0, () => 0)];
    expect(windows(members, 80)).toEqual([1, 2, 3].map((step) => ({ step, mean: 3, low: 1, high: 5 })));
  });

  test('whose last figures were not finite count as ended there', () => {
    const broken = track(6, (step) => (step > 2 ? null : 1));
    expect(windows([broken, track(6, () => 5)], 80).map(({ step }) => step)).toEqual([1, 2]);
  });

  // Of the second pair, the short one has spans of one step and the long one wider ones.
  test.each([
    [500, 1000],
    [MOST_SPANS - 1, 10 * MOST_SPANS],
  ])('in windows of many steps, too: none reaches past the shortest: %i, %i', (short, long) => {
    const points = windows([track(short, () => 1), track(long, () => 5)], 80);
    expect(new Set(points.map(({ mean }) => mean))).toEqual(new Set([3]));
    expect(points.at(-1)?.step).toBe(short);
  });

  test('end together in evaluations during training', () => {
    const member = (mean: number, ...at: readonly number[]) =>
      stage('ammd', { evaluations: at.map((step) => makeEvaluation({ final: false, step, mean })) });
    const members = [member(1, 0, 5), member(5, 0, 5, 10), stage('ammd', {})];
    const [group] = curvesOfSeries([{ name: 'ammd', place: 0, members }]);
    expect(group?.curves[0]?.lines.get('ammd')).toEqual(
      [0, 5].map((step) => ({ step, mean: 3, low: 1, high: 5 })),
    );
  });
});

describe('groups', () => {
  const groupsOf = (...names: string[]): Record<string, string[]> => {
    const metrics = Object.fromEntries(names.map((name) => [name, 1]));
    const groups = curvesOf([stage('ammd', { steps: [makeStep({ metrics })] })]);
    return Object.fromEntries(groups.map(({ title, curves }) => [title, curves.map((curve) => curve.title)]));
  };

  test('each metric has one place, by its name', () => {
    expect(
      groupsOf(
        'loss',
        'loss_on_gap',
        'd_on_gap',
        'critic/on/tightness',
        'critic/on/gradient_norm',
        'gradient_norm',
        'loss_scale',
        'schedule/sources.mix.probability',
        'schedule/terms.forward_kl.weight',
        'loss_cross_entropy',
        'loss_forward_kl',
        'critic/on/tv',
        'tv_off',
        'forward_kl_on',
        'student_entropy_on',
        'rollout/eos_rate',
        'critic/on/value_rms',
        'something_new',
        'critic/off/value_rms',
      ),
    ).toEqual({
      Losses: ['loss', 'loss_cross_entropy', 'loss_forward_kl', 'loss_on_gap'],
      'Moment matching': [
        'd_on_gap',
        'critic/on/tightness',
        'critic/on/tv',
        'critic/off/value_rms',
        'critic/on/value_rms',
      ],
      'Distance to the teacher': ['tv_off', 'forward_kl_on'],
      Policy: ['student_entropy_on', 'rollout/eos_rate'],
      'Gradients and schedules': [
        'loss_scale',
        'critic/on/gradient_norm',
        'gradient_norm',
        'lr',
        'schedule/sources.mix.probability',
        'schedule/terms.forward_kl.weight',
      ],
      Other: ['something_new'],
    });
  });

  test('stages are overlaid, each with its own points', () => {
    const [losses] = curvesOf([
      stage('kd', { steps: steps(2, () => 1) }),
      stage('ammd', { steps: steps(3, () => 2) }),
      stage('empty', {}),
    ]);
    const lines = losses?.curves[0]?.lines;
    expect([...(lines ?? [])].map(([name, points]) => [name, points.length])).toEqual([
      ['kd', 2],
      ['ammd', 3],
    ]);
  });

  test('evaluations during training are means over seeds; final ones are not among them', () => {
    const evaluations = [
      makeEvaluation({ final: false, step: 10, mean: 2 }),
      makeEvaluation({ final: false, step: 10, mean: 4, seed: 20 }),
      makeEvaluation({ final: false, step: 20, mean: 5 }),
      makeEvaluation({ final: true, step: 30, mean: 9 }),
    ];
    const [group] = curvesOf([stage('ammd', { evaluations })]);
    expect(group?.title).toBe('Evaluation during training');
    expect(group?.curves.map((curve) => curve.title)).toEqual(['Exact match, seen, sampled']);
    const points = group?.curves[0]?.lines.get('ammd');
    expect(points?.map(({ step, mean }) => [step, mean])).toEqual([
      [10, 3],
      [20, 5],
    ]);
    expect(points?.[0]?.low).toBeCloseTo(3 - Math.SQRT2, 12);
    expect(points?.[1]?.low).toBe(5);
  });

  test('skipped updates are drawn where there were any', () => {
    const titles = (skipped: number): (string | undefined)[] =>
      curvesOf([stage('ammd', { steps: [makeStep({ metrics: { skipped, loss: 0 } })] })]).flatMap(
        ({ curves }) => curves.map(({ title }) => title),
      );
    expect(titles(0)).toEqual(['loss', 'lr']);
    expect(titles(1)).toEqual(['loss', 'lr', 'skipped']);
  });

  test('a set evaluated only before the first step has no curve', () => {
    expect(curvesOf([stage('ammd', { evaluations: [makeEvaluation({ step: 0, final: false })] })])).toEqual(
      [],
    );
  });

  test('a run without rows has no curves', () => {
    expect(curvesOf([stage('ammd', {})])).toEqual([]);
  });
});
