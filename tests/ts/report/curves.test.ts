import { describe, expect, test } from '@jest/globals';
import type { StepRow } from '../../../ts/metrics/rows.js';
import { curvesOf as curvesOfSeries, type Point, windows as windowsOf } from '../../../ts/report/curves.js';
import type { StageData } from '../../../ts/report/read_run.js';
import { seriesOfStages } from '../../../ts/report/series.js';
import { makeEvaluation, makeStep } from '../metrics/make_rows.js';
import { makeStage } from './make_run.js';

const stage = (name: string, change: Partial<StageData>): StageData => makeStage({ name, ...change });

const steps = (count: number, value: (step: number) => number | null): StepRow[] =>
  Array.from({ length: count }, (_, at) => makeStep({ step: at + 1, metrics: { loss: value(at + 1) } }));
const loss = (row: StepRow): number | null => row.metrics.loss ?? null;

const curvesOf = (stages: readonly StageData[]) => curvesOfSeries(seriesOfStages(stages));
const windows = (rows: readonly StepRow[], value: (row: StepRow) => number | null): Point[] =>
  windowsOf([rows], value, 80);

describe('windows', () => {
  test('few points are shown as they were logged', () => {
    expect(
      windows(
        steps(3, (step) => step),
        loss,
      ),
    ).toEqual([1, 2, 3].map((step) => ({ step, mean: step, low: step, high: step })));
  });

  test('many are means over windows with their extremes; no step is lost or counted twice', () => {
    const points = windows(
      steps(1000, (step) => step),
      loss,
    );
    expect(points.length).toBeLessThanOrEqual(80);
    expect(points[0]).toEqual({ step: 13, mean: 7, low: 1, high: 13 });
    expect(points.at(-1)).toMatchObject({ step: 1000, high: 1000 });
    const lengths = points.map(({ low, high }) => high - low + 1);
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(1000);
  });

  test('figures that were not finite are left out, and make no gap of their own', () => {
    expect(
      windows(
        steps(4, (step) => (step % 2 === 0 ? null : step)),
        loss,
      ).map(({ step }) => step),
    ).toEqual([1, 3]);
    expect(
      windows(
        steps(4, () => null),
        loss,
      ),
    ).toEqual([]);
  });
});

describe('several training seeds', () => {
  test('are drawn as far as all of them went: a mean over those that go on would jump', () => {
    const [short, long] = [steps(3, () => 1), steps(6, () => 5)];
    expect(windowsOf([short, long, []], loss, 80)).toEqual(
      [1, 2, 3].map((step) => ({ step, mean: 3, low: 1, high: 5 })),
    );
  });

  test('whose last figures were not finite count as ended there', () => {
    const broken = steps(6, (step) => (step > 2 ? null : 1));
    expect(windowsOf([broken, steps(6, () => 5)], loss, 80).map(({ step }) => step)).toEqual([1, 2]);
  });

  test('in windows of many steps, too: none reaches past the shortest', () => {
    const points = windowsOf([steps(500, () => 1), steps(1000, () => 5)], loss, 80);
    expect(new Set(points.map(({ mean }) => mean))).toEqual(new Set([3]));
    expect(points.at(-1)?.step).toBe(500);
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
