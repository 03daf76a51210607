import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { JournalError } from '../../../ts/metrics/journal.js';
import { buildReport, type Report } from '../../../ts/report/build.js';
import { ReportError } from '../../../ts/report/errors.js';
import { readRun } from '../../../ts/report/read/run.js';
import { runReport } from '../../../ts/report/run/report.js';
import { makeEvaluation, makeSample, makeStep } from '../metrics/make_rows.js';
import { MAIN_JOB, TEST_SETS, writeRun, writeStage } from './fixture.js';
import { count, outsideParts } from './page_checks.js';

let folder: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'ammd-report-')), 'run');
});
afterEach(() => rmSync(join(folder, '..'), { recursive: true }));

describe('the main job', () => {
  let report: Report;
  beforeAll(() => {
    const made = mkdtempSync(join(tmpdir(), 'ammd-report-'));
    writeRun(made);
    report = runReport(readRun(made));
    rmSync(made, { recursive: true });
  });

  test('four files from the others in the folder, the same each time', () => {
    writeRun(folder, MAIN_JOB.slice(0, 2));
    const before = readdirSync(folder);
    const written = buildReport(folder);
    expect(readdirSync(folder).filter((name) => !before.includes(name))).toEqual([
      'report.html',
      'results.json',
      'results.md',
      'tables.tex',
    ]);
    expect(readFileSync(join(folder, 'report.html'), 'utf8')).toBe(written.html);
    expect(readFileSync(join(folder, 'results.md'), 'utf8')).toBe(written.markdown);
    expect(JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(written.results)),
    );
    // Drawings number their clip paths on over the life of the process.
    const unnumbered = (page: string): string => page.replaceAll(/zr\d+-/g, 'zr-');
    expect(unnumbered(buildReport(folder).html)).toBe(unnumbered(written.html));
  });

  test('every part is on the page, and nothing outside of it is needed', () => {
    const { html } = report;
    for (const id of ['results', 'curves', 'time', 'samples', 'settings']) {
      expect(html).toContain(`<section id="${id}">`);
      expect(html).toContain(`<a href="#${id}">`);
    }
    for (const name of [...MAIN_JOB.map((stage) => stage.name), ...TEST_SETS]) expect(html).toContain(name);
    for (const curve of [
      'loss_on_gap',
      'd_off_gap',
      'tv_on',
      'critic/on/tightness',
      'rollout/eos_rate',
      'gradient_norm',
    ]) {
      expect(html).toContain(`<figcaption>${curve}</figcaption>`);
    }
    expect(outsideParts(html)).toEqual([]);
    expect(html).toContain("default-src 'none'");
    expect(html).toContain('torch</dt><dd>2.13.0');
    expect(html).toContain(`SHA-256 ${'ab'.repeat(32)}`);
  });

  test('plots have a line for each stage that has the metric, in the colours of the page', () => {
    const { html } = report;
    const plot = /<figcaption>tv_off<\/figcaption>([\s\S]*?)<\/figure>/.exec(html)?.[1] ?? '';
    const colours = [
      ...new Set([...plot.matchAll(/stroke="(var\(--series-\d\))"/g)].map((match) => match[1])),
    ];
    expect(colours).toEqual(['var(--series-3)', 'var(--series-4)']);
    expect(count(html, '<style')).toBe(1);
  });

  test('ids of drawings do not collide', () => {
    const { html } = report;
    const ids = [...html.matchAll(/<[a-zA-Z]+ id="([^"]+)"/g)].map((match) => match[1]);
    expect(ids.length).toBeGreaterThan(20);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('results for programs and for Markdown agree with the table for the terminal', () => {
    const { results, markdown, text } = report;
    const ammd = results.evaluations.find(
      (it) => it.stage === 'ammd' && it.dataset === 'seen' && it.decoding === 'sampled',
    );
    const figure = `${ammd?.mean.toFixed(1)} ± ${ammd?.sd?.toFixed(1)}`;
    expect(markdown).toContain(`**${figure}**`);
    expect(text).toContain(`* ${figure}`);
    expect(results.stages.map(({ name, teaches }) => [name, teaches])).toEqual([
      ['teacher', true],
      ['start', false],
      ['sft', false],
      ['kd', false],
      ['ammd', false],
    ]);
    expect(new Set(results.comparisons.map((it) => it.model))).toEqual(new Set(['ammd']));
    expect(markdown).toContain('# layout-example');
  });
});

describe('text from models, data and configs', () => {
  const NASTY = `<img src=x onerror="alert(1)"></pre></dd><script>alert('2')</script>&amp;\u0000`;

  test('is shown and never becomes markup', () => {
    mkdirSync(folder, { recursive: true });
    const config = `name: ${JSON.stringify(NASTY.replace('\u0000', ''))}\nstages:\n  ammd: {method: "<b>ammd</b>"}\n`;
    writeFileSync(join(folder, 'config.yaml'), config);
    writeFileSync(
      join(folder, 'manifest.json'),
      JSON.stringify({ [NASTY]: [NASTY, NASTY], deep: { x: NASTY } }),
    );
    writeStage(join(folder, 'stages', 'ammd'), {
      steps: [1, 2].map((step) => makeStep({ step, metrics: { [NASTY]: 1 } })),
      evaluations: [
        makeEvaluation({ dataset: NASTY, metric: NASTY }),
        makeEvaluation({ final: false, dataset: NASTY }),
      ],
      samples: [makeSample({ prompt: NASTY, text: NASTY, references: [NASTY], dataset: NASTY })],
    });
    const { html, markdown } = runReport(readRun(folder));
    const visible = html.replaceAll(/&(lt|gt|quot|#39|amp);/g, '');
    expect(outsideParts(visible).filter((part) => !/^\son/i.test(part))).toEqual([]);
    expect(html).not.toMatch(/<(img|script|b>ammd)/);
    expect(count(html, '</section>')).toBe(count(html, '<section '));
    expect(html).not.toContain('\u0000');
    expect(count(html, '&lt;img src=x onerror=&quot;alert(1)&quot;&gt;')).toBeGreaterThan(6);
    expect(markdown).not.toMatch(/(?<!\\)<(img|script)/);
  });

  test('an answer that equals its reference has a mark; an empty one is named', () => {
    writeStage(join(folder, 'stages', 'ammd'), {
      samples: [
        makeSample({ row: 0, step: 5, text: 'old text' }),
        makeSample({ row: 0, step: 10, text: ' cba ' }),
        makeSample({ row: 1, text: 'other', references: ['x', 'y'] }),
        makeSample({ row: 2, text: '' }),
      ],
    });
    const { html } = runReport(readRun(folder));
    expect(count(html, '✓')).toBe(1);
    expect(html).not.toContain('old text');
    expect(html).toContain('(empty)');
    expect(count(html, '<dt>reference</dt>')).toBe(4);
  });
});

describe('runs that are not whole', () => {
  test('a run in its first stage has curves and no results yet', () => {
    writeRun(folder, []);
    writeFileSync(
      join(folder, 'config.yaml'),
      'name: going\nstages:\n  a: {method: sft}\n  b: {method: {name: kd}}\n',
    );
    writeStage(join(folder, 'stages', 'a'), { steps: [makeStep({ stage: 'a' })] });
    const { html, results } = runReport(readRun(folder));
    expect(html).toContain('0 of 2 stages done');
    expect(html).toContain('1 so far');
    expect(html).not.toContain('id="results"');
    expect(html).not.toContain('id="samples"');
    expect(results.stages.map(({ method }) => method)).toEqual(['sft', 'kd']);
    expect(results.comparisons).toEqual([]);
  });

  test('without a config the stages are those found', () => {
    writeStage(join(folder, 'stages', 'b'), { steps: [makeStep({ stage: 'b' })] });
    writeStage(join(folder, 'stages', 'a'), { done: true });
    const run = readRun(folder);
    expect(run.stages.map(({ name, method, done }) => [name, method, done])).toEqual([
      ['a', null, true],
      ['b', null, false],
    ]);
    expect(run.name).toBe('run');
    expect(runReport(run).html).not.toContain('id="settings"');
  });

  test('a run that has only begun is a page with its settings', () => {
    writeRun(folder, []);
    const { html } = runReport(readRun(folder));
    expect(html).toContain('id="settings"');
    expect(html).not.toContain('id="curves"');
    expect(html).not.toContain('id="time"');
  });

  test('a teacher alone has its curves unfolded', () => {
    writeRun(
      folder,
      MAIN_JOB.slice(0, 1).map((stage) => ({ ...stage, steps: 3 })),
    );
    writeFileSync(
      join(folder, 'config.yaml'),
      'name: t\nstages:\n  teacher: {method: sft}\n  ammd: {method: ammd, teacher: {stage: teacher}}\n',
    );
    const { html } = runReport(readRun(folder));
    expect(html).toContain('<figcaption>loss</figcaption>');
    expect(html).not.toContain('Curves of the teacher');
  });
});

describe('bad input', () => {
  const failure = (): unknown => {
    try {
      readRun(folder);
    } catch (error) {
      return error;
    }
    return undefined;
  };

  test('a folder that is no run says so, with a remedy', () => {
    mkdirSync(folder);
    const error = failure();
    expect(error).toBeInstanceOf(ReportError);
    expect(error).toMatchObject({ code: 'report_no_run', hint: expect.stringMatching(/Give the folder/) });
  });

  test.each([
    ['config.yaml', 'stages: 3'],
    ['config.yaml', '{'],
    ['manifest.json', '{'],
  ])('a damaged %s is named', (name, text) => {
    writeRun(folder, []);
    writeFileSync(join(folder, name), text);
    const error = failure();
    expect(error).toBeInstanceOf(ReportError);
    expect((error as ReportError).code).toBe('report_file');
    expect((error as ReportError).message).toContain(join(folder, name));
  });

  test('a damaged row is named by file and line', () => {
    writeStage(join(folder, 'stages', 'a'), { steps: [makeStep()] });
    const path = join(folder, 'stages', 'a', 'metrics.jsonl');
    writeFileSync(path, `${readFileSync(path, 'utf8')}{}\n`);
    const error = failure();
    expect(error).toBeInstanceOf(JournalError);
    expect((error as JournalError).message).toContain(`${path}:2`);
  });
});
