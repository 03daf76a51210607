import { describe, expect, test } from '@jest/globals';
import { mean, sampleStandardDeviation } from 'simple-statistics';
import { hierarchicalBootstrap } from '../../../../ts/metrics/hierarchical_bootstrap.js';
import { pairedDifference } from '../../../../ts/metrics/paired.js';
import type { EvaluationRow, StepRow } from '../../../../ts/metrics/rows.js';
import { comparisonReport } from '../../../../ts/report/comparison/report.js';
import { diagnosticsTable } from '../../../../ts/report/comparison/tables.js';
import { formatFigure, formatScore, formatSigned } from '../../../../ts/report/formats/number_format.js';
import type { RunData } from '../../../../ts/report/read/run.js';
import { MOST_SPANS } from '../../../../ts/report/read/step_history.js';
import { makeEvaluation, makeSample, makeStep } from '../../metrics/make_rows.js';
import { makeRun, makeStage } from '../make_run.js';
import { cellsOf, count, NASTY, outsideMarkup, outsideParts } from '../page_checks.js';

/** Scores of six rows under two decoding seeds. */
function evaluations(scores: readonly number[], change: Partial<EvaluationRow> = {}): EvaluationRow[] {
  return [10, 20].map((seed) =>
    makeEvaluation({ seed, rows: scores.length, scores, mean: mean([...scores]), ...change }),
  );
}

const steps = (metrics: (step: number) => StepRow['metrics'], length = 20): StepRow[] =>
  Array.from({ length }, (_, at) =>
    makeStep({ step: at + 1, metrics: metrics(at + 1), seconds: { total: 2 } }),
  );

const KD = [
  [100, 0, 0, 0, 100, 0],
  [100, 0, 0, 100, 100, 0],
] as const;
const AMMD = [
  [100, 100, 0, 100, 100, 0],
  [100, 100, 0, 100, 0, 100],
] as const;

function runs(): RunData[] {
  const run = (name: string, lr: number, scores: readonly number[], seed: number): RunData =>
    makeRun({
      name,
      seed,
      folder: `/runs/${name}-${seed}`,
      settings: { lr },
      stages: [
        makeStage({
          method: name,
          evaluations: evaluations(scores),
          steps: steps((step) => ({ loss: seed / step, d_on: name === 'ammd' ? seed : null })),
          samples: [makeSample({ text: `${name} ${seed}` })],
        }),
      ],
    });
  return [
    ...KD.map((scores, at) => run('kd', 1, scores, at + 1)),
    ...AMMD.map((scores, at) => run('ammd', 2, scores, at + 1)),
  ];
}

describe('scores', () => {
  test('are means over training seeds, with their deviation and an interval over rows', () => {
    const { results } = comparisonReport(runs());
    const [kd, ammd] = results.scores;
    const values = KD.map((scores) => mean([...scores]));
    expect(kd).toMatchObject({ series: 'kd', values, mean: mean(values), rows: 6 });
    expect(kd?.sd).toBeCloseTo(sampleStandardDeviation(values), 12);
    const rows = KD[0].map((score, row) => (score + (KD[1][row] ?? 0)) / 2);
    const { low, high } = pairedDifference(
      rows,
      rows.map(() => 0),
    );
    expect(kd?.interval).toEqual({ low, high });
    expect(ammd?.mean).toBeGreaterThan(kd?.mean ?? 0);
  });

  test('one seed has no deviation; rows without scores have no interval', () => {
    const [first] = runs();
    const { results } = comparisonReport([
      first ?? makeRun(),
      makeRun({ name: 'b', settings: { lr: 3 }, stages: [makeStage({ evaluations: [makeEvaluation()] })] }),
    ]);
    expect(results.scores.map(({ sd }) => sd)).toEqual([null, null]);
    expect(results.scores[1]?.interval).toBeNull();
    expect(results.differences).toEqual([]);
  });

  test('evaluations during training are no results', () => {
    const stage = makeStage({ evaluations: [makeEvaluation({ final: false })] });
    expect(comparisonReport([makeRun({ stages: [stage] })]).results.scores).toEqual([]);
  });
});

describe('differences', () => {
  test('are taken over the seeds that both have', () => {
    const { results } = comparisonReport(runs());
    const expected = hierarchicalBootstrap(AMMD, KD, { resamples: 1000 });
    expect(results.differences).toEqual([
      {
        series: 'ammd',
        against: 'kd',
        dataset: 'seen',
        metric: 'exact_match',
        decoding: 'sampled',
        difference: expected.difference,
        low: expected.low,
        high: expected.high,
        seeds: 2,
      },
    ]);
  });

  test('with one seed in common they are over rows alone, and the page says so', () => {
    const [kd, , ammd] = runs();
    const report = comparisonReport([kd ?? makeRun(), ammd ?? makeRun()]);
    const expected = pairedDifference(AMMD[0], KD[0]);
    expect(report.results.differences[0]).toMatchObject({ seeds: 1, low: expected.low, high: expected.high });
    expect(report.markdown).toContain('it covers their choice, not that of training seeds');
  });
});

describe('a set that is not of the same rows in all runs', () => {
  const of = (name: string, scores: readonly number[], seed: number, hash: string): RunData =>
    makeRun({
      name,
      seed,
      settings: { lr: name },
      stages: [makeStage({ method: name, evaluations: evaluations(scores), contents: { seen: hash } })],
    });

  test('is not paired or drawn side by side, has no best, and is named', () => {
    const drawn = ({ charts }: ReturnType<typeof comparisonReport>) =>
      charts.filter(({ id }) => id.startsWith('intervals')).length;
    const same = comparisonReport([of('kd', KD[0], 1, 'a'), of('ammd', AMMD[0], 1, 'a')]);
    expect(same.results.differences).toHaveLength(1);
    expect(same.markdown).not.toContain('Not the same rows');
    const other = comparisonReport([of('kd', KD[0], 1, 'a'), of('ammd', AMMD[0], 1, 'b')]);
    expect(other.results.differences).toEqual([]);
    expect(other.markdown).toContain('Not the same rows in all runs, so not to be compared: seen.');
    expect([drawn(same), drawn(other)]).toEqual([1, 0]);
    expect(same.markdown).toContain('**');
    expect(other.markdown).not.toContain('**');
  });

  test('has no interval where seeds of one group had different ones', () => {
    const { results } = comparisonReport([of('kd', KD[0], 1, 'a'), of('kd', KD[1], 2, 'b')]);
    expect(results.scores).toMatchObject([{ interval: null, contents: ['a', 'b'] }]);
  });
});

describe('the page', () => {
  const report = comparisonReport(runs());

  test('has a section for each question, and nothing from outside', () => {
    const sections = ['results', 'diagnostics', 'curves', 'time', 'samples', 'settings'];
    for (const id of sections) expect(report.html).toContain(`<section id="${id}">`);
    expect(outsideParts(report.html)).toEqual([]);
  });

  test('shows every score, difference, diagnosis and cost', () => {
    const rows = cellsOf(report.html);
    const row = (...beginning: readonly string[]): string[] | undefined =>
      rows.find((cells) => beginning.every((text, at) => cells[at] === text));
    const [kd, ammd] = report.results.scores;
    for (const score of [kd, ammd]) {
      const text = `${score?.mean.toFixed(1)} ± ${score?.sd?.toFixed(1)}`;
      const interval = `(${score?.interval?.low.toFixed(1)} to ${score?.interval?.high.toFixed(1)})`;
      expect(row(score?.series ?? '', score?.series ?? '', '2')?.[3]).toBe(`${text} ${interval}`);
    }
    const { low = Number.NaN, high = Number.NaN } = report.results.differences[0] ?? {};
    const [from, to] = [low, high].map((value) => formatSigned(value, formatScore));
    expect(row('kd', `+25.0 (${from} to ${to})`)).toHaveLength(2);
    // d_on at the end: 1 for one seed, 2 for the other.
    expect(row('ammd', '1.5')).toEqual(['ammd', '1.5']);
    expect(row('kd', '2', '20')).toEqual(['kd', '2', '20', '400', '240', '120', '40 s', '10']);
  });

  test('overlays seeds as one line with a band between them', () => {
    const plot = /<figcaption>loss<\/figcaption>([\s\S]*?)<\/figure>/.exec(report.html)?.[1] ?? '';
    const lines = [...plot.matchAll(/stroke="(var\(--series-\d\))"/g)].map((match) => match[1]);
    expect([...new Set(lines)]).toEqual(['var(--series-0)', 'var(--series-1)']);
    expect(
      new Set([...plot.matchAll(/fill="(var\(--series-\d\))" fill-opacity/g)].map((it) => it[1])),
    ).toEqual(new Set(['var(--series-0)', 'var(--series-1)']));
    expect(report.html).toContain('from the smallest to the largest');
  });

  test('lists settings that differ, and no others', () => {
    const diff = cellsOf(report.html).filter(([key]) => key === 'lr' || key === 'name' || key === 'seed');
    expect(diff).toEqual([['lr', '1', '2']]);
    expect(count(report.html, '/runs/kd-2')).toBeGreaterThan(0);
  });

  test('shows the texts of the first seed of each group beside each other', () => {
    expect(report.html).toContain('kd 1');
    expect(report.html).not.toContain('kd 2');
    expect(count(report.html, '<dt>reference</dt>')).toBe(1);
  });

  test('has the same tables as Markdown, LaTeX and text', () => {
    const text = `${report.results.scores[0]?.mean.toFixed(1)}`;
    for (const form of [report.markdown, report.latex, report.text]) expect(form).toContain(text);
    expect(report.latex).toContain('\\toprule');
  });
});

test('what models, data and configurations say never becomes markup', () => {
  const stage = makeStage({
    name: NASTY,
    method: NASTY,
    validation: NASTY,
    evaluations: [
      ...evaluations([1, 0], { dataset: NASTY, metric: NASTY }),
      makeEvaluation({ final: false, dataset: NASTY }),
    ],
    steps: steps(() => ({ [NASTY]: 1, [`d_${NASTY}`]: 1 }), 3),
    samples: [makeSample({ prompt: NASTY, text: NASTY, references: [NASTY], dataset: NASTY })],
  });
  const nasty = (lr: number): RunData =>
    makeRun({
      name: `${NASTY}${lr}`,
      folder: NASTY,
      settings: { [NASTY]: `${NASTY}${lr}` },
      stages: [stage],
    });
  const { html, markdown } = comparisonReport([nasty(1), nasty(2)]);
  expect(outsideMarkup(html)).toEqual([]);
  expect(html).not.toMatch(/<(img|script)/);
  expect(count(html, '</section>')).toBe(count(html, '<section '));
  expect(markdown).not.toMatch(/(?<!\\)<(img|script)/);
});

test('teachers are shown, but compete with nobody', () => {
  const teacher = makeStage({
    name: 'teacher',
    teaches: true,
    evaluations: evaluations([100, 100, 100]),
    steps: steps(() => ({ loss: 1 })),
  });
  const student = makeStage({
    name: 'kd',
    evaluations: evaluations([0, 100, 0]),
    steps: steps(() => ({ loss: 2 })),
  });
  const other = makeStage({ name: 'ammd', evaluations: evaluations([0, 0, 0]) });
  const { html, results } = comparisonReport([makeRun({ stages: [teacher, student, other] })]);
  expect(html).toMatch(/<b>33\.3<\/b>/);
  expect(html).not.toMatch(/<b>100\.0<\/b>/);
  expect(html).toContain('Curves of the teachers');
  expect(results.differences.map(({ series, against }) => [series, against])).toEqual([
    ['ammd', 'teacher'],
    ['ammd', 'kd'],
  ]);
});

// The second has more steps than are held one by one.
test.each([20, 2 * MOST_SPANS])('of %i steps the last tenth is the end of training', (length) => {
  const members = [0, 10].map((more) =>
    makeStage({ steps: steps((step) => ({ d_on: step + more }), length) }),
  );
  const table = diagnosticsTable([{ name: 'ammd', place: 0, members }]);
  const first = Math.floor(0.9 * length) + 1;
  expect(table?.columns.map(({ label }) => label)).toEqual(['run', 'd_on']);
  expect(table?.rows.map((row) => row.map(({ text }) => text))).toEqual([
    ['ammd', formatFigure((first + length) / 2 + 5)],
  ]);
});

test('fifteen methods, ten seeds and 500 steps stay a small page', () => {
  const names = Array.from({ length: 30 }, (_, at) => `loss_${at}`);
  const rows = [1, 2].map((salt) =>
    steps((step) => Object.fromEntries(names.map((name, at) => [name, Math.sin(step * (at + salt))])), 500),
  );
  const all = Array.from({ length: 150 }, (_, at) =>
    makeRun({
      name: `method-${at % 15}`,
      seed: Math.floor(at / 15),
      settings: { lr: at % 15 },
      stages: [makeStage({ steps: rows[Math.floor(at / 15) % 2] ?? [] })],
    }),
  );
  const { html, charts } = comparisonReport(all);
  expect(charts).toHaveLength(31);
  expect(html.length).toBeLessThan(5e6);
  expect(count(html, '<span class="swatch line"')).toBe(15);
});
