import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type TableFile, writeTable } from '../../../../ts/metrics/table_file.js';
import { readReproduction } from '../../../../ts/report/read/reproduction.js';
import type { Report } from '../../../../ts/report/report.js';
import { reproductionReport } from '../../../../ts/report/reproduction/report.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';
import { makeSample, makeStep } from '../../metrics/make_rows.js';
import { makeCell, makeTable, makeTableRow } from '../../metrics/make_table.js';
import { writeStage } from '../fixture.js';
import { cellsOf, count, NASTY, outsideMarkup } from '../page_checks.js';

const SEEDS = [1, 2, 3];

/** A reproduction beside its store, in which each row has a stage for each seed. */
function reproduction(table: TableFile, rows: readonly string[]): Report<TableFile> {
  const root = temporaryFolder({});
  const places = rows.flatMap((row) =>
    SEEDS.map((seed) => ({ row, seed, folder: `../store/${row}-${seed}`, stage: 'student' })),
  );
  for (const { row, seed } of places) {
    const run = join(root, 'store', `${row}-${seed}`);
    writeStage(join(run, 'stages', 'student'), {
      steps: [1, 2, 3].map((step) =>
        makeStep({ stage: 'student', step, metrics: { d_on: seed / step, tv_on: 0.1 * seed, loss: 1 } }),
      ),
      samples: [makeSample({ stage: 'student', text: `${row} ${seed}` })],
    });
    const stage = `{method: {name: ${row}}, training: {lr: ${rows.indexOf(row)}}}`;
    writeFileSync(join(run, 'config.yaml'), `name: student\nseed: ${seed}\nstages:\n  student: ${stage}\n`);
  }
  const folder = join(root, 'instruct');
  mkdirSync(folder);
  writeTable(folder, { ...table, curves: places, samples: places });
  return reproductionReport(readReproduction(folder));
}

const figureOf = (page: string, title: string): string =>
  page.split(`<figcaption>${title}</figcaption>`)[1]?.split('</figure>')[0] ?? '';

describe('a table of all methods', () => {
  const table = makeTable({ warnings: ['Two seeds are missing.'] });
  const report = reproduction(table, ['teacher', 'kd', 'ammd']);

  test('has the declared comparison with its conclusion and figures', () => {
    expect(report.html).toContain(table.primary?.declared);
    expect(report.html).toContain(`<b>${table.primary?.conclusion}</b>`);
    expect(report.html).toContain('Difference +2 (95 % interval +0.5 to +3.5), p = 0.012');
    expect(report.html).toContain('Baselines on the tuning split: kd 31.');
    expect(report.html).toContain('<p class="warning">Two seeds are missing.</p>');
    expect(report.html).toContain(`<li>${table.protocol[0]}</li>`);
  });

  test('has every cell, its difference, and what it cost', () => {
    const rows = cellsOf(report.html);
    expect(rows).toContainEqual(['teacher', '85.0']);
    expect(rows).toContainEqual(['kd', '32.0 ± 2.0‡']);
    expect(rows).toContainEqual(['ammd', '34.0 ± 2.0']);
    expect(rows).toContainEqual(['kd', '−2.0‡ (−3.5 to −0.5, p = 0.012)']);
    expect(rows).toContainEqual(['kd', '120 k', '3', '42 s']);
    expect(report.results).toEqual(expect.objectContaining({ kind: 'reproduction', table: 'instruct' }));
  });

  test('overlays the methods, a line and a band for each', () => {
    const plot = figureOf(report.html, 'd_on');
    const lines = [...plot.matchAll(/stroke="(var\(--series-\d\))"/g)].map((match) => match[1]);
    expect([...new Set(lines)]).toEqual(['var(--series-1)', 'var(--series-2)']);
    expect(report.html).toContain('Curves of the teacher');
  });

  test('shows the texts of teacher and students by their roles, and the settings that differ', () => {
    const names = [...report.html.matchAll(/<dt>([^<]*)<\/dt><dd class="text">([^<]*)/g)].map(
      ([, name, text]) => [name, text],
    );
    expect(names).toEqual([
      ['reference', 'cba'],
      ['teacher', 'teacher 1'],
      ['after: kd', 'kd 1'],
      ['after: ammd', 'ammd 1'],
    ]);
    expect(cellsOf(report.html)).toContainEqual(['training.lr', '0', '1', '2']);
  });

  test('has the same tables for documents', () => {
    expect(report.markdown).toContain('32.0 ± 2.0');
    expect(report.latex).toContain('32.0 $\\pm$ 2.0');
    expect(report.markdown).toContain('ammd is better than kd');
  });
});

test('a weight is an axis, with error bars and the baselines as level lines', () => {
  const swept = [0, 0.5, 1].map((weight) =>
    makeTableRow({
      id: `w${weight}`,
      label: `w = ${weight}`,
      method: 'ammd',
      group: 'ours',
      hyperparameter: weight,
    }),
  );
  const rows = [makeTableRow({ id: 'start', group: 'start' }), makeTableRow({ id: 'kd' }), ...swept];
  const { html, charts } = reproduction(makeTable({ table: 'beta', rows, primary: null }), []);
  const [chart] = charts;
  expect(chart?.legend.map(({ label }) => label)).toEqual(['ammd, by weight of the on-policy side', 'kd']);
  const plot = figureOf(html, 'seen: Exact match, sampled');
  // The curve and three error bars in its colour, and one level line.
  expect(count(plot, 'stroke="var(--series-2)"')).toBeGreaterThanOrEqual(4);
  expect(count(plot, 'stroke="var(--series-1)"')).toBe(1);
  expect(plot).not.toContain('var(--series-0)');
  expect(html).toContain('No comparison was declared');
});

test('a method in the first row is not grey', () => {
  const rows = ['ammd', 'kd'].map((id) => makeTableRow({ id, group: id === 'ammd' ? 'ours' : 'baseline' }));
  const { html } = reproduction(makeTable({ rows, primary: null }), ['ammd', 'kd']);
  const plot = figureOf(html, 'd_on');
  expect(plot).toContain('var(--series-1)');
  expect(plot).toContain('var(--series-2)');
  expect(plot).not.toContain('var(--series-0)');
});

test('dynamics are figures of gaps and distances', () => {
  const { charts } = reproduction(makeTable({ table: 'dynamics' }), ['kd', 'ammd']);
  const ids = charts.map(({ id }) => id).filter((id) => id.startsWith('dynamics'));
  expect(ids).toEqual(['dynamics-d-on', 'dynamics-tv-on']);
});

test('a store that is gone leaves the tables', () => {
  const folder = temporaryFolder({});
  mkdirSync(folder, { recursive: true });
  writeTable(folder, makeTable());
  const { html } = reproductionReport(readReproduction(folder));
  expect(html).toContain('1 folders of trained stages are gone');
  expect(cellsOf(html)).toContainEqual(['ammd', '34.0 ± 2.0']);
  expect(html).not.toContain('id="curves"');
});

test('what a table says never becomes markup', () => {
  const cells = [
    makeCell({ reason: NASTY, reference: { value: 1, sd: null, source: NASTY }, verdict: 'differs' }),
  ];
  const rows = [
    makeTableRow({ id: 'kd', label: NASTY, cells }),
    makeTableRow({ id: 'ammd', label: NASTY, group: 'ours' }),
  ];
  const column = { dataset: NASTY, decoding: 'sampled' as const, metric: NASTY, title: NASTY };
  const all = { title: NASTY, protocol: [NASTY], warnings: [NASTY], columns: [column], rows };
  const { primary } = makeTable();
  const said = primary === null ? null : { ...primary, declared: NASTY, conclusion: NASTY };
  const { html } = reproduction(makeTable({ ...all, primary: said }), ['kd', 'ammd']);
  expect(outsideMarkup(html)).toEqual([]);
  expect(html).not.toMatch(/<(img|script)/);
});
