import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { openSweepView, trialLine } from '../../../ts/cli/sweep_view.js';
import type { SweepEvent } from '../../../ts/sweep/events.js';
import { makeStep } from '../metrics/make_rows.js';
import { LR, METHOD, makeSummary, makeTrial } from '../metrics/make_sweep_rows.js';
import { LR as SMALL_LR, sweepFiles } from '../sweep/scene.js';
import { jsonLinesOf, linesOf, runCaptured } from './captured.js';

const home = process.cwd();
beforeEach(() => process.chdir(sweepFiles()));
afterEach(() => process.chdir(home));

describe('ammd sweep --dry-run', () => {
  test('says what it would do, and starts nothing', async () => {
    const lines = await linesOf('sweep', './sweep.yaml', '--dry-run', '--trials', '7');
    expect(lines).toEqual([
      'sweep small: 7 trials by random',
      'judged by exact_match (sampled, max) of stage student on check',
      `varied: ${SMALL_LR}`,
      'varied: stages.student.method.terms.anchor.weight',
      '6 corners of the space can be run',
    ]);
  });

  test('as JSON has the sweep and the run that it varies', async () => {
    const [described] = await jsonLinesOf('sweep', './sweep.yaml', '--dry-run', '--set', 'seed=5');
    expect(described).toMatchObject({ objective: { dataset: 'check' }, run: { seed: 5 }, warnings: [] });
  });
});

describe('ammd sweep refuses', () => {
  test.each<[readonly string[], RegExp]>([
    [['./sweep.yaml', '--set', 'stage=nobody'], /unknown stage "nobody"/],
    [['./sweep.yaml', '--jobs', '0'], /--jobs/],
    [['./sweep.yaml', '--devices', 'cpu,gpu'], /expected auto, cpu, cuda or cuda:N/],
    [['quickstart-amd'], /unknown sweep "quickstart-amd"; did you mean "quickstart-ammd"/],
    [['.', '--set', 'seed=1', '--dry-run'], /--set, --dry-run: not with \., the folder of a sweep/],
    [['.'], /holds no sweep/],
  ])('%j', async (args, message) => {
    const { status, stderr } = await runCaptured('sweep', ...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });
});

describe('the view of a sweep', () => {
  const events: readonly SweepEvent[] = [
    {
      kind: 'sweep_started',
      name: 'demo',
      folder: join('runs', 'demo'),
      wanted: 3,
      done: 1,
      objective: makeSummary().objective,
    },
    { kind: 'trial_started', number: 1, parameters: { [LR]: 2e-3 }, again: false },
    { kind: 'trial_event', number: 1, event: makeStep({ step: 4 }) },
    { kind: 'trial_event', number: 1, event: { kind: 'note', message: 'micro-batches halved' } },
    makeTrial({ number: 1 }),
    makeTrial({ number: 2, state: 'pruned', value: null, reason: 'behind others at step 50' }),
    { kind: 'sweep_finished', folder: join('runs', 'demo'), best: null, seconds: 61 },
  ];
  /** Lines on standard output, and on standard error. */
  const shownAs = (json: boolean) => {
    const out: string[] = [];
    const error: string[] = [];
    const spies = [
      jest.spyOn(console, 'log').mockImplementation((line: string) => void out.push(line)),
      jest.spyOn(console, 'error').mockImplementation((line: string) => void error.push(line)),
    ];
    const view = openSweepView({ json });
    for (const event of events) view.show(event);
    view.close();
    for (const spy of spies) spy.mockRestore();
    return { out, error };
  };

  test('is a line a trial', () => {
    const { out, error } = shownAs(false);
    expect(out).toEqual([
      'demo: 1 of 3 trials done, sweep folder runs/demo',
      'judged by exact_match (sampled, max) on validation',
      'note: trial 1: micro-batches halved',
      'trial 1: 34.5  lr.from=0.002  (12 s)',
      'trial 2: pruned, behind others at step 50  lr.from=0.002  (12 s)',
      'done in 1 min 01 s',
    ]);
    expect(error).toEqual([]);
  });

  test('for scripts is the rows alone; the rest is on standard error', () => {
    const { out, error } = shownAs(true);
    expect(out.map((line) => JSON.parse(line) as unknown)).toEqual([events[4], events[5]]);
    expect(error).toContain('note: trial 1: micro-batches halved');
  });

  test('tells parameters apart', () => {
    expect(trialLine(makeTrial({ parameters: { [LR]: 1e-3, [METHOD]: 'kd' } }))).toMatch(
      /^trial 0: 34\.5 {2}\S*lr\.from=0\.001 \S*method=kd {2}\(12 s\)$/,
    );
  });
});
