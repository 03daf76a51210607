import { describe, expect, test } from '@jest/globals';
import { escapeLatex, latexTable, latexTables } from '../../../../ts/report/formats/latex.js';
import { cell, type Table } from '../../../../ts/report/formats/table.js';

const TABLE: Table = {
  title: 'Exact match, 100 %',
  columns: [
    { label: 'row', align: 'left' },
    { label: 'seen_set', align: 'right' },
  ],
  rows: [
    [cell('A & B'), cell('8.9 ± 1.9', '8.3')],
    [cell('ammd'), { text: '40.6 ± 1.0†', detail: '−0.2 to 3', strong: true }],
    [cell('kd'), { text: '', strong: true }],
  ],
  note: 'In $.',
};

test('booktabs, title as caption, best in bold, note below', () => {
  expect(latexTable(TABLE).split('\n')).toEqual([
    '\\begin{table}',
    '  \\centering',
    '  \\caption{Exact match, 100 \\%}',
    '  \\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{\\begin{tabular}{lr}',
    '    \\toprule',
    '    row & seen\\_set \\\\',
    '    \\midrule',
    '    A \\& B & 8.9 $\\pm$ 1.9 {\\footnotesize (8.3)} \\\\',
    '    ammd & \\textbf{40.6 $\\pm$ 1.0$^\\dagger$} {\\footnotesize ($-$0.2 to 3)} \\\\',
    '    kd &  \\\\',
    '    \\bottomrule',
    '  \\end{tabular}}',
    '  \\par\\smallskip\\parbox{\\linewidth}{\\footnotesize In \\$.}',
    '\\end{table}',
    '',
  ]);
  expect(latexTable({ ...TABLE, note: '' })).not.toContain('parbox');
});

test.each(['[1] kd', '*kd'])('a row may begin with %j', (name) => {
  const text = latexTable({ ...TABLE, rows: [[cell(name), cell('1')]] });
  expect(text).toContain(`    \\midrule\n    {}${name} & 1 \\\\\n`);
});

test('several are one text, which says what it needs', () => {
  const text = latexTables([TABLE, { ...TABLE, title: 'Other' }]);
  expect(text).toMatch(/^% Needs \\usepackage\{booktabs,graphicx\}\.\n\n\\begin\{table\}/);
  expect(text.match(/\\caption/g)).toHaveLength(2);
});

describe('text from outside', () => {
  test.each([
    ['\\input{/etc/passwd}', '\\textbackslash{}input\\{/etc/passwd\\}'],
    ['50 % & $x_1^2$ #1 ~', '50 \\% \\& \\$x\\_1\\textasciicircum{}2\\$ \\#1 \\textasciitilde{}'],
    ['a\n\n\tb\u0007c', 'a b c'],
    ['p < 0.001 ≥ |x| ‖', 'p $<$ 0.001 $\\ge$ $|$x$|$ $\\Vert$'],
    ['naïve “λ” 10 × 2 – 1…', "na\\\"{\\i}ve ``$\\lambda$'' 10 $\\times$ 2 -- 1\\dots{}"],
    ['é, e\u0301, Ça, Ł, Straße, Ő', "\\'{e}, \\'{e}, \\c{C}a, \\L{}, Stra\\ss{}e, \\H{O}"],
    ['π → ½, ∇Σ', '$\\pi$ $\\to$ \\texttt{[U+00BD]}, $\\nabla$$\\Sigma$'],
    ['дa', '\\texttt{[U+0434]}a'],
    ['中', '\\texttt{[U+4E2D]}'],
    ['ế', '\\texttt{[U+1EBF]}'],
    ['a\u200bש\u202e', 'a\\texttt{[U+200B]}\\texttt{[U+05E9]}\\texttt{[U+202E]}'],
    ['👍🏽', '\\texttt{[U+1F44D]}\\texttt{[U+1F3FD]}'],
    ['\ud800', '\\texttt{[U+D800]}'],
  ])('%j is set as it is', (text, escaped) => expect(escapeLatex(text)).toBe(escaped));

  /** Accents, symbols and characters of which LaTeX knows nothing, as they are written. */
  const WRITTEN = [
    /\\[{}$&#%_]/g,
    /\\[`'^~"=.cdHruv]\{(\\?[A-Za-z])\}/g,
    /\\(text[a-z]+|[A-Za-z]{1,4})\{\}/g,
    /\\texttt\{\[U\+[0-9A-F]{4,6}\]\}/g,
    /\$[^$]+\$/g,
  ];

  test.each([
    ['the first planes', 0, 0x3000],
    ['Chinese and Korean', 0x4e00, 0x4f00],
    ['surrogates', 0xd7f0, 0xe010],
    ['specials', 0xfb00, 0x10010],
    ['emoji', 0x1f300, 0x1f700],
    ['the end', 0x10fff0, 0x110000],
  ])('leaves no character with a meaning, and none that is not ASCII: %s', (_, from, to) => {
    const every = Array.from({ length: to - from }, (_, at) => String.fromCodePoint(from + at)).join('x');
    const escaped = escapeLatex(every);
    expect(escaped).toMatch(/^[ -~]*$/);
    const bare = WRITTEN.reduce((text, written) => text.replaceAll(written, ''), escaped);
    expect(bare).not.toMatch(/[\\{}$&#%_~^<>|]/);
  });
});
