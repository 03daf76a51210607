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

/** Characters that LaTeX reads as commands, and others that it has commands for. */
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
  '–': '--',
  '—': '---',
  '‘': '`',
  '’': "'",
  '“': '``',
  '”': "''",
  '…': '\\dots{}',
  '§': '\\S{}',
  ß: '\\ss{}',
  Æ: '\\AE{}',
  æ: '\\ae{}',
  Œ: '\\OE{}',
  œ: '\\oe{}',
  Ø: '\\O{}',
  ø: '\\o{}',
  Ł: '\\L{}',
  ł: '\\l{}',
  ı: '\\i{}',
};

/** Characters of its mathematics. */
const SYMBOLS: Readonly<Record<string, string>> = {
  '<': '<',
  '>': '>',
  '|': '|',
  '−': '-',
  '±': '\\pm',
  '×': '\\times',
  '·': '\\cdot',
  '≤': '\\le',
  '≥': '\\ge',
  '≠': '\\ne',
  '≈': '\\approx',
  '∞': '\\infty',
  '→': '\\to',
  '∇': '\\nabla',
  '‖': '\\Vert',
  '†': '^\\dagger',
  '‡': '^\\ddagger',
  '°': '^\\circ',
  '²': '^2',
  α: '\\alpha',
  β: '\\beta',
  γ: '\\gamma',
  δ: '\\delta',
  ε: '\\varepsilon',
  η: '\\eta',
  θ: '\\theta',
  λ: '\\lambda',
  μ: '\\mu',
  µ: '\\mu',
  π: '\\pi',
  ρ: '\\rho',
  σ: '\\sigma',
  τ: '\\tau',
  φ: '\\varphi',
  χ: '\\chi',
  ω: '\\omega',
  Δ: '\\Delta',
  Σ: '\\Sigma',
};

/** Combining marks, of accented letters in their canonical decomposition. */
const ACCENTS: Readonly<Record<string, string>> = {
  '\u0300': '`',
  '\u0301': "'",
  '\u0302': '^',
  '\u0303': '~',
  '\u0304': '=',
  '\u0306': 'u',
  '\u0307': '.',
  '\u0308': '"',
  '\u030a': 'r',
  '\u030b': 'H',
  '\u030c': 'v',
  '\u0323': 'd',
  '\u0327': 'c',
};

/** An accented Latin letter; no other character has one. */
function accented(character: string): string | undefined {
  const [letter = '', mark = '', ...more] = character.normalize('NFD');
  const accent = ACCENTS[mark];
  if (accent === undefined || more.length > 0 || !/[A-Za-z]/.test(letter)) return undefined;
  return `\\${accent}{${letter.replace(/^[ij]$/, '\\$&')}}`;
}

/** A character in ASCII. One that LaTeX may not know is shown by its number: it would stop there. */
function latexCharacter(character: string): string {
  const symbol = SYMBOLS[character];
  if (symbol !== undefined) return `$${symbol}$`;
  const known = ESCAPED[character] ?? accented(character);
  if (known !== undefined) return known;
  if (/[ -~]/.test(character)) return character;
  const number = character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0');
  return `\\texttt{[U+${number}]}`;
}

/** Text in ASCII that LaTeX sets as it is, on one line: names and notes come from configs and may hold anything. */
export function escapeLatex(text: string): string {
  return text
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .normalize('NFC')
    .replaceAll(/./gu, latexCharacter);
}
