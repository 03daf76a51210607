import { describe, expect, test } from '@jest/globals';
import type { TableCell, TableFile } from '../../../../ts/metrics/table_file.js';
import { latexTables } from '../../../../ts/report/formats/latex.js';
import { markdownTable, type Table } from '../../../../ts/report/formats/table.js';
import { reproductionTables } from '../../../../ts/report/reproduction/tables.js';
import { makeCell, makeTable, makeTableRow } from '../../metrics/make_table.js';

const lines = (table: Table | undefined): string[] =>
  table === undefined
    ? []
    : markdownTable(table)
        .split('\n')
        .filter((line) => line.startsWith('|'))
        .slice(2);

const compared = (p: number, p_holm: number | null): TableCell['comparison'] => ({
  against: 'ammd',
  difference: -2,
  low: -3.54,
  high: -0.46,
  p,
  p_holm,
});

describe('scores', () => {
  test('mean, spread, best student, and what is significant', () => {
    const table = makeTable({
      rows: [
        ...makeTable().rows,
        makeTableRow({ id: 'sft', cells: [makeCell({ comparison: compared(0.001, 0.004) })] }),
        makeTableRow({ id: 'gkd', cells: [makeCell({ comparison: compared(0.04, 0.08) })] }),
        makeTableRow({ id: 'seqkd', cells: [null] }),
      ],
    });
    const [scores] = reproductionTables(table);
    expect(scores?.title).toBe('Instruction following: Exact match, sampled');
    expect(lines(scores)).toEqual([
      '| teacher | 85.0 |',
      '| kd | 32.0 ± 2.0‡ |',
      '| ammd | **34.0 ± 2.0** |',
      '| sft | 32.0 ± 2.0† |',
      '| gkd | 32.0 ± 2.0 |',
      '| seqkd | – |',
    ]);
    for (const part of [
      'over 5 training seeds, decoding seeds 10, 20, 30 averaged within.',
      'Other numbers of seeds: teacher 1.',
      '† differs from ammd at 0.05 after Holm’s correction for 2 comparisons.',
      '‡ differs from ammd at 0.05 in the declared primary comparison.',
      'Each student was trained on 120 k response tokens.',
      'Settings tried for each method: 3.',
      'Against reference numbers: not comparable (no reference number).',
    ]) {
      expect(scores?.note).toContain(part);
    }
  });

  test('few seeds that both rows have are told, and nothing is marked', () => {
    const few = (...seeds: readonly [number, ...number[]]) =>
      makeCell({ seeds, values: [30, 32, 34, 36], comparison: compared(0.001, 0.004) });
    const sft = makeTableRow({ id: 'sft', cells: [few(2, 3, 4, 9)] });
    const [scores, differences] = reproductionTables(makeTable({ rows: [...makeTable().rows, sft] }));
    expect(lines(scores)).toContain('| sft | 32.0 ± 2.0 |');
    expect(lines(differences)).toContain('| sft | −2.0 (−3.5 to −0.5, p = 0.004) |');
    expect(scores?.note).not.toContain('†');
    expect(scores?.note).toContain('Differences over fewer than 5 training seeds are not marked.');
    expect(lines(scores)).toContain('| kd | 32.0 ± 2.0‡ |');
  });

  test('unequal tokens are seen', () => {
    const [, ...others] = makeTable().rows;
    const rows = others.map((row, at) => ({ ...row, tokens: 120_000 + 2000 * at, tuning_trials: 3 + at }));
    const [scores] = reproductionTables(makeTable({ rows, primary: null, curves: [] }));
    expect(scores?.note).toContain('on 120 k to 122 k response tokens');
    expect(scores?.note).toContain('each method: 3 to 4.');
  });

  test('one table for each metric and decoding; of losses the smallest is best', () => {
    const columns: TableFile['columns'] = [
      { dataset: 'seen', decoding: 'sampled', metric: 'exact_match', title: 'seen' },
      { dataset: 'seen', decoding: 'teacher_forced', metric: 'forward_kl', title: 'seen' },
      { dataset: 'longer', decoding: 'sampled', metric: 'exact_match', title: 'longer' },
    ];
    const kl = (mean: number) => makeCell({ mean, sd: 0.0123 });
    const rows = [
      makeTableRow({ id: 'kd', cells: [makeCell(), kl(0.25), makeCell({ mean: 9 })] }),
      makeTableRow({ id: 'ammd', cells: [makeCell({ mean: 33 }), kl(0.5), makeCell({ mean: 9 })] }),
    ];
    const tables = reproductionTables(makeTable({ columns, rows, primary: null }));
    expect(tables.map(({ title }) => title)).toEqual([
      'Instruction following: Exact match, sampled',
      'Instruction following: KL(teacher‖student), teacher forced',
    ]);
    expect(lines(tables[0])).toEqual([
      '| kd | 32.0 ± 2.0 | 9.0 ± 2.0 |',
      '| ammd | **33.0 ± 2.0** | 9.0 ± 2.0 |',
    ]);
    expect(lines(tables[1])).toEqual(['| kd | **0.25 ± 0.0123** |', '| ammd | 0.5 ± 0.0123 |']);
    expect(tables[1]?.note).not.toContain('decoding seeds');
  });
});

describe('differences', () => {
  test('from the compared row, with interval and corrected p value', () => {
    const rows = [
      ...makeTable().rows,
      makeTableRow({ id: 'sft', cells: [makeCell({ comparison: compared(0.001, 0.004) })] }),
      makeTableRow({ id: 'gkd', cells: [makeCell({ comparison: compared(0.04, 0.08) })] }),
    ];
    const differences = reproductionTables(makeTable({ rows }))[1];
    expect(differences?.title).toBe('Difference from ammd: Exact match, sampled');
    expect(lines(differences)).toEqual([
      '| kd | **−2.0‡** (−3.5 to −0.5, p = 0.012) |',
      '| sft | **−2.0** (−3.5 to −0.5, p = 0.004) |',
      '| gkd | −2.0 (−3.5 to −0.5, p = 0.080) |',
    ]);
    expect(differences?.note).toContain(
      'correction for 2 comparisons; marked below 0.05, from 5 training seeds on',
    );
    expect(reproductionTables(makeTable({ rows }))[0]?.note).not.toContain('not marked');
  });

  test('no table where nothing is compared', () => {
    const rows = makeTable().rows.map((row) => ({
      ...row,
      cells: row.cells.map((one) => one && { ...one, comparison: null }),
    }));
    expect(reproductionTables(makeTable({ rows, primary: null }))).toHaveLength(1);
  });
});

describe('verdicts', () => {
  const reference = { value: 31.5, sd: null, source: 'the paper' };

  test('each reference number with verdict and reason; the number stands beside ours too', () => {
    const rows = [
      makeTableRow({
        id: 'kd',
        cells: [makeCell({ reference, verdict: 'reproduced', reason: 'it lies in' })],
      }),
      makeTableRow({ id: 'ammd', cells: [makeCell({ reference, verdict: 'differs', reason: '2 above' })] }),
      makeTableRow({ id: 'sft' }),
    ];
    const tables = reproductionTables(makeTable({ rows, primary: null }));
    expect(lines(tables[0])[0]).toBe('| kd | 32.0 ± 2.0 (31.5) |');
    expect(tables[0]?.note).toContain('In parentheses: the reference number.');
    expect(tables[0]?.note).toContain('1 cells have no reference number');
    expect(lines(tables[1])).toEqual([
      '| kd | seen | 32.0 | 31.5 | the paper | reproduced | it lies in |',
      '| ammd | seen | 32.0 | 31.5 | the paper | differs | 2 above |',
    ]);
  });

  test('one sentence where all are the same', () => {
    const reason = 'other models than the paper’s';
    const rows = makeTable().rows.map((row) => ({
      ...row,
      cells: row.cells.map((one) => one && { ...one, reference, reason }),
    }));
    const tables = reproductionTables(makeTable({ rows }));
    expect(tables.map(({ title }) => title)).not.toContain('Against reference numbers');
    expect(tables[0]?.note).toContain('not comparable (other models than the paper’s)');
  });
});

test('LaTeX has every table', () => {
  const text = latexTables(reproductionTables(makeTable()));
  expect(text.match(/\\begin\{table\}/g)).toHaveLength(2);
  expect(text).toContain('\\textbf{34.0 $\\pm$ 2.0}');
  expect(text).toContain('kd & 32.0 $\\pm$ 2.0$^\\ddagger$ \\\\');
});
