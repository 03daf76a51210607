import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SWEEP_FILES } from '../../../ts/metrics/sweep_rows.js';
import { writeTable } from '../../../ts/metrics/table_file.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';
import { makeSummary, makeTrial } from '../metrics/make_sweep_rows.js';
import { makeTable } from '../metrics/make_table.js';
import { type StageShape, writeRun } from '../report/fixture.js';
import { jsonLinesOf, linesOf, runCaptured } from './captured.js';

const home = process.cwd();
let folder = '';
beforeEach(() => {
  folder = temporaryFolder({ 'sweep/.keep': '', 'table/.keep': '', 'empty/.keep': '', 'file.txt': '' });
  process.chdir(folder);
  const stages: readonly StageShape[] = [{ name: 'kd', method: 'kd', steps: 4, score: 40 }];
  for (const seed of [7, 8]) writeRun(`kd-${seed}`, stages, { name: 'kd', seed });
  writeRun('other', stages, { name: 'other', settings: ['lr: 2'] });
  writeFileSync(join('sweep', SWEEP_FILES.summary), JSON.stringify(makeSummary()));
  writeFileSync(join('sweep', SWEEP_FILES.trials), `${JSON.stringify(makeTrial())}\n`);
  writeTable('table', makeTable());
});
afterEach(() => process.chdir(home));

const REPORT = ['report.html', 'results.json', 'results.md', 'tables.tex'];

describe('several runs', () => {
  test('go into a new folder, told at the end', async () => {
    const lines = await linesOf('report', 'kd-7', 'kd-8', 'other');
    const [made = ''] = readdirSync('reports');
    expect(made).toMatch(/^comparison-\d{8}-\d{6}$/);
    expect(readdirSync(join('reports', made)).sort()).toEqual(REPORT);
    expect(lines.at(-1)).toBe(`report      ${join(process.cwd(), 'reports', made, 'report.html')}`);
    expect(lines).toContainEqual(expect.stringMatching(/^kd +kd +2 /));
    expect(existsSync(join('kd-7', 'report.html'))).toBe(false);
  });

  test('go where --out says, as JSON too', async () => {
    const [results] = await jsonLinesOf('report', 'kd-7', 'other', '--out', 'here/there');
    expect(results).toMatchObject({ format: 'ammd-comparison', version: 1 });
    expect(JSON.parse(readFileSync('here/there/results.json', 'utf8'))).toEqual(results);
    expect(existsSync('reports')).toBe(false);
  });
});

test('several runs do not overwrite the report of one of them', async () => {
  const { status, stderr } = await runCaptured('report', 'kd-7', 'other', '--out', './kd-7/');
  expect(status).toBe(2);
  expect(stderr).toContain('./kd-7/ is one of the runs, and has a report of its own\n  Give another folder');
  expect(existsSync(join('kd-7', 'report.html'))).toBe(false);
});

test('a run, a reproduction and a sweep have theirs in their folders', async () => {
  for (const [name, title] of [
    ['kd-7', 'kd'],
    ['table', 'Instruction following'],
    ['sweep', 'demo'],
  ] as const) {
    await linesOf('report', name);
    expect(readdirSync(name)).toEqual(expect.arrayContaining(REPORT));
    expect(readFileSync(join(name, 'report.html'), 'utf8')).toContain(`<h1>${title}</h1>`);
  }
});

test('figures are files beside the page', async () => {
  const lines = await linesOf('report', 'sweep', '--out', 'out', '--figures', 'svg');
  expect(readdirSync('out/figures').sort()).toEqual([
    'history.svg',
    'importance.svg',
    'parallel-coordinates.svg',
  ]);
  expect(lines).toContain(`figures     3 files in ${join(process.cwd(), 'out', 'figures')}`);
});

describe('is refused, and nothing written,', () => {
  test.each([
    ['of several kinds', ['kd-7', 'sweep'], /kd-7 is a run and sweep a sweep/],
    ['of two sweeps', ['sweep', 'sweep'], /one sweep at a time/],
    [
      'of what is none',
      ['kd-7', 'empty'],
      /empty is no folder that a report is made from\n {2}Expected: a run/,
    ],
    ['of what is not there', ['missing'], /missing does not exist/],
    ['as an unknown image', ['kd-7', '--figures', 'svg,gif'], /no format "gif"\n {2}formats: svg, png/],
    ['into a file', ['kd-7', '--out', 'file.txt'], /file\.txt is a file/],
  ])('%s', async (_, args, message) => {
    const before = readdirSync('.');
    const { status, stdout, stderr } = await runCaptured('report', ...args);
    expect(stderr).toMatch(message);
    expect([status, stdout]).toEqual([2, '']);
    expect(readdirSync('.')).toEqual(before);
    expect(existsSync('kd-7/report.html')).toBe(false);
  });
});
