import type { TableCell, TableFile, Verdict } from '../../metrics/table_file.js';
import { formatScore } from '../formats/number_format.js';
import { cell, column, type Table } from '../formats/table.js';

const WORDS: Readonly<Record<Verdict, string>> = {
  reproduced: 'reproduced',
  differs: 'differs',
  not_comparable: 'not comparable',
  not_enough_seeds: 'not enough seeds',
};

const cellsOf = ({ rows, columns }: TableFile) =>
  rows.flatMap(({ label, cells }) =>
    cells.flatMap((one, at) =>
      one === null ? [] : [{ label, column: columns[at]?.title ?? '', cell: one }],
    ),
  );

/** The verdict that all cells have for the same reason; undefined where they differ. */
function commonVerdict(file: TableFile): TableCell | undefined {
  const [first, ...others] = cellsOf(file).map((one) => one.cell);
  const alike = others.every(({ verdict, reason }) => verdict === first?.verdict && reason === first.reason);
  return alike ? first : undefined;
}

/** One sentence where all cells have one verdict, or where some have no reference number; otherwise none. */
export function verdictNote(file: TableFile): string[] {
  const common = commonVerdict(file);
  if (common !== undefined)
    return [`Against reference numbers: ${WORDS[common.verdict]} (${common.reason}).`];
  const without = cellsOf(file).filter((one) => one.cell.reference === null).length;
  return without === 0 ? [] : [`${without} cells have no reference number and are not comparable.`];
}

/** Every figure that has a reference number beside it, with the verdict and why; none where all have one verdict. */
export function verdictTables(file: TableFile): Table[] {
  const judged = cellsOf(file).filter((one) => one.cell.reference !== null);
  if (judged.length === 0 || commonVerdict(file) !== undefined) return [];
  return [
    {
      title: 'Against reference numbers',
      columns: [
        column('row'),
        column('set'),
        column('ours', 'right'),
        column('reference', 'right'),
        column('source'),
        column('verdict'),
        column('why'),
      ],
      rows: judged.map(({ label, column: set, cell: { mean, reference, verdict, reason } }) => [
        cell(label),
        cell(set),
        cell(formatScore(mean)),
        cell(String(reference?.value)),
        cell(reference?.source ?? ''),
        cell(WORDS[verdict]),
        cell(reason),
      ]),
      note: 'Reproduced: the reference number lies in the 95 % t-interval of our mean over training seeds, widened by the spread that the source states, if any.',
    },
  ];
}
