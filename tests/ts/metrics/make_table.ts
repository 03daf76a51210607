import type { TableCell, TableFile, TableRow } from '../../../ts/metrics/table_file.js';

/** A cell of five training seeds without anything to compare it with. */
export function makeCell(change: Partial<TableCell> = {}): TableCell {
  return {
    seeds: [1, 2, 3, 4, 5],
    values: [30, 30, 32, 34, 34],
    mean: 32,
    sd: 2,
    reference: null,
    verdict: 'not_comparable',
    reason: 'no reference number',
    comparison: null,
    ...change,
  };
}

export function makeTableRow(change: Partial<TableRow> & { readonly id: string }): TableRow {
  return {
    label: change.id,
    method: change.id,
    group: 'baseline',
    hyperparameter: null,
    cells: [makeCell()],
    tokens: 120_000,
    tuning_trials: 3,
    seconds: 41.5,
    ...change,
  };
}

/** Teacher, a baseline and AMMD on one set, with the primary comparison. */
export function makeTable(change: Partial<TableFile> = {}): TableFile {
  const tested = { difference: 2, low: 0.5, high: 3.5, p: 0.012 };
  return {
    kind: 'reproduction',
    version: 1,
    table: 'instruct',
    profile: 'mini',
    title: 'Instruction following',
    metric: 'exact_match',
    protocol: ['Every method is trained on 120,000 response tokens.'],
    seeds: [1, 2, 3, 4, 5],
    decoding_seeds: [10, 20, 30],
    columns: [{ dataset: 'seen', decoding: 'sampled', metric: 'exact_match', title: 'seen' }],
    rows: [
      makeTableRow({
        id: 'teacher',
        method: null,
        group: 'teacher',
        cells: [makeCell({ seeds: [7], values: [85], mean: 85, sd: null })],
        tuning_trials: null,
      }),
      makeTableRow({
        id: 'kd',
        cells: [
          makeCell({
            comparison: { against: 'ammd', ...tested, difference: -2, low: -3.5, high: -0.5, p_holm: null },
          }),
        ],
      }),
      makeTableRow({
        id: 'ammd',
        group: 'ours',
        cells: [makeCell({ values: [32, 32, 34, 36, 36], mean: 34 })],
      }),
    ],
    primary: {
      row: 'ammd',
      against: 'kd',
      column: 0,
      ...tested,
      seeds: 5,
      rows: 256,
      resamples: 10_000,
      tuning: [{ row: 'kd', value: 31 }],
      declared: 'ammd against the best baseline of the tuning split.',
      conclusion: 'ammd is better than kd.',
    },
    curves: [{ row: 'ammd', seed: 1, folder: '../../store/0123456789abcdef', stage: 'student' }],
    samples: [],
    warnings: [],
    ...change,
  };
}
