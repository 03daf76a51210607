import { describe, expect, test } from '@jest/globals';
import { plotStage, stageCurves } from '../../../ts/cli/plot.js';
import { stageOf } from '../plan/plans.js';

const STAGE = stageOf(
  'student',
  'stages.student.training={steps: 101, lr: {kind: linear, from: 1, to: 0, warmup: 10}}',
  'stages.student.evaluation.every=5',
  'stages.student.method.sources.on.probability={kind: adaptive, from: 0.3, to: 1, increment: 0.1, metric: exact_match}',
);

const curveOf = (name: string, total: number | null, points: number) => {
  const stage = stageCurves(STAGE, total, points);
  const curve = stage.curves.find((one) => one.name === name);
  if (curve === undefined) throw new Error(`no curve ${name}`);
  return { ...curve, steps: stage.steps };
};

describe('the schedules of a stage', () => {
  test('are read at steps spread evenly, the first and the last among them', () => {
    const { steps, values, unit } = curveOf('training.lr', 101, 5);
    expect(steps).toEqual([0, 25, 50, 75, 100]);
    expect(unit).toBe('learning rate');
    // Step 25 is 15 steps into the 91 after the warm-up.
    expect(values[0]).toBeCloseTo(1 / 11, 12);
    expect(values[1]).toBeCloseTo(1 - 15 / 91, 12);
    expect(values[4]).toBeCloseTo(1 / 91, 12);
  });

  test('are read at each step where there are fewer than points', () => {
    expect(curveOf('training.lr', 3, 60).steps).toEqual([0, 1, 2]);
    expect(curveOf('training.lr', 1, 60).steps).toEqual([0]);
  });

  test('run over per cent where the number of steps is not known', () => {
    const { steps } = curveOf('training.lr', null, 11);
    expect(steps).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
  });

  test('all of them, with what never changes and what moves them', () => {
    const { curves } = stageCurves(STAGE, 101, 10);
    expect(curves.map(({ name }) => name)).toEqual(Object.keys(STAGE.schedules));
    expect(curveOf('on_policy_weight', 101, 10)).toMatchObject({ constant: 0.5, moves: null });
    expect(curveOf('sources.on.probability', 101, 3)).toMatchObject({
      constant: null,
      moves: 'moves to 1 as exact_match gets no better',
      values: [0.3, 0.3, 0.3],
    });
  });
});

describe('in a terminal', () => {
  const text = plotStage(stageCurves(STAGE, 101, 60), false);

  test('each is drawn with its ends, and axes that say what they are', () => {
    expect(text).toMatch(
      /^stage student: 101 steps of the student\n\ntraining.lr \(learning rate\): 0.09091 → 0.01099/,
    );
    expect(text).toMatch(/\n +1┤.*━/);
    expect(text).toMatch(/\n +0 +25 +50 +75 +100\n +step of the student/);
    expect(text).toContain(
      'sources.on.probability (probability): 0.3, moves to 1 as exact_match gets no better',
    );
    expect(text).toContain('\non_policy_weight (weight of the on-policy side): 0.5 throughout\n');
  });

  test('none is wider than asked for, and nothing is coloured unless wanted', () => {
    for (const line of text.split('\n').filter((one) => /[┤│└]/.test(one)))
      expect(line.length).toBeLessThanOrEqual(60 + 14);
    expect(text).not.toContain('\u001b');
    expect(plotStage(stageCurves(STAGE, 101, 60), true)).toContain('\u001b[');
  });

  test('a stage of one step, and one of a number that the data make', () => {
    expect(plotStage(stageCurves(STAGE, 1, 60), false)).toContain('stage student: 1 step of');
    const open = plotStage(stageCurves(STAGE, null, 60), false);
    expect(open).toContain('stage student: as many steps as the data make');
    expect(open).toMatch(/ 0 +25 +50 +75 +100\n +% of the steps/);
  });
});
