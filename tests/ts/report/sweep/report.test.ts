import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { SweepSummary, TrialRow } from '../../../../ts/metrics/sweep_rows.js';
import { readSweep } from '../../../../ts/report/read/sweep.js';
import { formatValue, shortNames } from '../../../../ts/report/sweep/names.js';
import { sweepReport } from '../../../../ts/report/sweep/report.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';
import { LR, METHOD, makeSummary, makeTrial } from '../../metrics/make_sweep_rows.js';
import { cellsOf, count, NASTY, outsideMarkup } from '../page_checks.js';

const STEPS = 'stages.ammd.training.steps';

/** A sweep's folder as a sweep writes it. */
function sweepFolder(trials: readonly TrialRow[], summary: SweepSummary = makeSummary()): string {
  const folder = temporaryFolder({});
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'trials.jsonl'), trials.map((row) => `${JSON.stringify(row)}\n`).join(''));
  writeFileSync(join(folder, 'sweep.json'), JSON.stringify(summary));
  return folder;
}

const trial = (number: number, lr: number, method: string, change: Partial<TrialRow> = {}): TrialRow =>
  makeTrial({
    number,
    parameters: { [LR]: lr, [METHOD]: method, [STEPS]: 15 },
    value: 30 + number,
    intermediate: [50, 100].map((step) => ({ step, value: step / 10 + number })),
    ...change,
  });

const TRIALS: readonly TrialRow[] = [
  trial(1, 0.004, 'kd', { value: 28 }),
  trial(0, 0.002, 'ammd'),
  trial(2, 0.008, 'ammd', {
    state: 'pruned',
    value: null,
    intermediate: [{ step: 50, value: 3 }],
    reason: 'at step 50',
  }),
  trial(3, 0.01, 'kd', { state: 'failed', value: null, intermediate: [], reason: NASTY }),
];

describe('a sweep', () => {
  const summary = makeSummary({
    trials: { wanted: 4, complete: 2, pruned: 1, failed: 1 },
    best: { number: 0, value: 30, parameters: { [LR]: 0.002 }, folder: 'x', config: 'best.yaml' },
  });
  const report = sweepReport(readSweep(sweepFolder(TRIALS, summary)));

  test('lists every trial with its parameters, value and reason', () => {
    const rows = cellsOf(report.html).filter(([first]) => /^\d$/.test(first ?? ''));
    expect(rows).toEqual([
      ['0', 'complete', '30', '0.002', 'ammd', '15', '12 s', ''],
      ['1', 'complete', '28', '0.004', 'kd', '15', '12 s', ''],
      ['2', 'pruned', '–', '0.008', 'ammd', '15', '12 s', 'at step 50'],
      ['3', 'failed', '–', '0.01', 'kd', '15', '12 s', expect.stringContaining(NASTY)],
    ]);
    expect(report.html).toContain('<b>30</b>');
    expect(report.text).toContain('* 30');
  });

  test('draws history, importance, parallel coordinates and courses', () => {
    expect(report.charts.map(({ id }) => id)).toEqual([
      'history',
      'importance',
      'parallel-coordinates',
      'progress',
    ]);
    const drawing = (title: string): string =>
      new RegExp(`<figcaption>${title}</figcaption>([\\s\\S]*?)</figure>`).exec(report.html)?.[1] ?? '';
    // A line for each complete trial; the best one apart.
    expect(count(drawing('Parameters of the complete trials'), /stroke="var\(--rank-\d\)"/)).toBe(2);
    expect(count(drawing('Parameters of the complete trials'), 'stroke="var(--rank-4)"')).toBe(1);
    for (const name of ['lr.from', 'ammd.method', 'training.steps', 'kd', '0.001', 'exact match'])
      expect(drawing('Parameters of the complete trials')).toContain(`>${name}</text>`);
    for (const name of ['lr.from', 'ammd.method'])
      expect(drawing('Importance of the parameters')).toContain(`>${name}</text>`);
    expect(drawing('Exact match on validation, sampled, by trial')).toContain('var(--rank-4)');
  });

  test('says what is best, how to train it, and that it is a choice', () => {
    for (const form of [report.html, report.markdown.replaceAll('\\', '')]) {
      expect(form).toContain('Best: trial 0, Exact match on validation, sampled: 30.');
      expect(form).toContain('ammd train best.yaml');
      expect(form).toContain('too high');
    }
    expect(report.results).toMatchObject({ format: 'ammd-sweep', trials: expect.any(Array) });
  });

  test('a reason never becomes markup', () => {
    expect(outsideMarkup(report.html)).toEqual([]);
    expect(report.html).not.toMatch(/<(img|script)/);
  });
});

test('a sweep that has only begun is a page', () => {
  const summary = makeSummary({
    trials: { wanted: 4, complete: 0, pruned: 0, failed: 0 },
    best: null,
    importances: null,
  });
  const { html, charts } = sweepReport(readSweep(sweepFolder([], summary)));
  expect(charts).toEqual([]);
  expect(html).toContain('No trial is complete yet.');
  expect(html).toContain('0 of 4 trials');
});

test('where less is better, the least is best', () => {
  const objective = { ...makeSummary().objective, mode: 'min' as const };
  const { html } = sweepReport(readSweep(sweepFolder(TRIALS, makeSummary({ objective }))));
  const line = /stroke="var\(--rank-4\)"/.exec(html);
  expect(line).not.toBeNull();
  expect(html).toContain('the less the better');
});

test('a choice on a test set is pointed out', () => {
  const objective = { ...makeSummary().objective, dataset: 'seen', test_set: true };
  const { html } = sweepReport(readSweep(sweepFolder(TRIALS, makeSummary({ objective }))));
  expect(html).toContain('seen is no validation set');
});

test('a trial that was run again counts once, by its last row', () => {
  const folder = sweepFolder([trial(0, 0.002, 'kd', { value: 1 }), trial(0, 0.002, 'kd', { value: 2 })]);
  expect(readSweep(folder).trials.map(({ value }) => value)).toEqual([2]);
});

test.each([
  ['not JSON', '{'],
  ['of another kind', '{"kind": "run"}'],
])('a summary that is %s is named', (_, text) => {
  const folder = sweepFolder([]);
  writeFileSync(join(folder, 'sweep.json'), text);
  expect(() => readSweep(folder)).toThrow(
    expect.objectContaining({ code: 'report_file', message: expect.stringContaining('sweep.json') }),
  );
});

test('names of parameters are as long as it takes to tell them apart', () => {
  const names = (...paths: readonly string[]): string[] => [...shortNames(paths).values()];
  expect(names('stages.a.training.lr.from', 'stages.a.method.terms.kd.weight.value')).toEqual([
    'lr.from',
    'kd.weight',
  ]);
  expect(names('stages.a.training.lr.from', 'stages.b.training.lr.from')).toEqual([
    'a.training.lr.from',
    'b.training.lr.from',
  ]);
  expect(names('seed')).toEqual(['seed']);
  expect([1e-7, 'kd', [1, 2], null].map(formatValue)).toEqual(['1.0e-7', 'kd', '[1,2]', 'null']);
});
