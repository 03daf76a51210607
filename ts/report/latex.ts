import type { Cell, Table } from './table.js';

/** Tables for a LaTeX document, each a float of its own. */
export function latexTables(tables: readonly Table[]): string {
  return ['% Needs \\usepackage{booktabs,graphicx}.\n', ...tables.map(latexTable)].join('\n');
}

/** A box no wider than the text: what is narrower keeps its size. */
const FIT = '\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}';

/** One table in the rules of booktabs, its title as the caption and its note below. */
export function latexTable({ title, columns, rows, note }: Table): string {
  // A bracket or a star at a row's start would be taken for an argument of the rule or the line above.
  const line = (cells: readonly string[]): string =>
    `    ${cells.join(' & ').replace(/^(?=[[*])/, '{}')} \\\\`;
  const below =
    note === '' ? [] : [`  \\par\\smallskip\\parbox{\\linewidth}{\\footnotesize ${escapeLatex(note)}}`];
  return [
    '\\begin{table}',
    '  \\centering',
    `  \\caption{${escapeLatex(title)}}`,
    `  ${FIT}{\\begin{tabular}{${columns.map(({ align }) => align[0]).join('')}}`,
    '    \\toprule',
    line(columns.map(({ label }) => escapeLatex(label))),
    '    \\midrule',
    ...rows.map((row) => line(row.map(latexCell))),
    '    \\bottomrule',
    '  \\end{tabular}}',
    ...below,
    '\\end{table}',
    '',
  ].join('\n');
}

function latexCell({ text, detail, strong }: Cell): string {
  const main = strong === true && text !== '' ? `\\textbf{${escapeLatex(text)}}` : escapeLatex(text);
  return detail === undefined ? main : `${main} {\\footnotesize (${escapeLatex(detail)})}`;
}

/** Characters that LaTeX reads as commands, and those that its text fonts lack. */
const ESCAPED: Readonly<Record<string, string>> = {
  '\\': '\\textbackslash{}',
  '{': '\\{',
  '}': '\\}',
  $: '\\$',
  '&': '\\&',
  '#': '\\#',
  '%': '\\%',
  _: '\\_',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
  '<': '$<$',
  '>': '$>$',
  '|': '$|$',
  '±': '$\\pm$',
  '−': '$-$',
  '×': '$\\times$',
  '≤': '$\\le$',
  '≥': '$\\ge$',
  '‖': '$\\Vert$',
  '†': '$^\\dagger$',
  '‡': '$^\\ddagger$',
  '–': '--',
  '…': '\\dots{}',
  α: '$\\alpha$',
  β: '$\\beta$',
  γ: '$\\gamma$',
  λ: '$\\lambda$',
};

/** Text that LaTeX sets as it is, on one line: names and notes come from configs and may hold anything. */
export function escapeLatex(text: string): string {
  return text
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .replaceAll(/./gu, (character) => ESCAPED[character] ?? character);
}
