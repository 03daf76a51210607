import { describe, expect, test } from '@jest/globals';
import {
  cell,
  escapeMarkdown,
  markdownTable,
  printable,
  type Table,
  textTable,
} from '../../../../ts/report/formats/table.js';

const TABLE: Table = {
  title: 'Exact match',
  columns: [
    { label: 'stage', align: 'left' },
    { label: 'seen', align: 'right' },
  ],
  rows: [
    [cell('start'), cell('8.9 ± 1.9', '8.3')],
    [cell('ammd|x'), { text: '40.6 ± 1.0', detail: '46.7', strong: true }],
    [cell('kd'), cell('–')],
  ],
  note: 'A note.',
};

test('Markdown: aligned right, best in bold, greedy in parentheses, names escaped', () => {
  expect(markdownTable(TABLE).split('\n')).toEqual([
    '### Exact match',
    '',
    '| stage | seen |',
    '| --- | --: |',
    '| start | 8.9 ± 1.9 (8.3) |',
    '| ammd\\|x | **40.6 ± 1.0** (46.7) |',
    '| kd | – |',
    '',
    'A note.',
    '',
  ]);
  expect(markdownTable({ ...TABLE, note: '' })).not.toContain('A note');
});

test('terminal: columns aligned, figures and what is beside them each on its own', () => {
  expect(textTable(TABLE).split('\n')).toEqual(
    [
      'Exact match',
      '',
      'stage                  seen',
      '──────  ───────────────────',
      'start      8.9 ± 1.9  (8.3)',
      'ammd|x  * 40.6 ± 1.0 (46.7)',
      'kd                 –       ',
      '',
    ].map((line) => line.trimEnd()),
  );
});

test('terminal: a table without rows still has its head', () => {
  expect(textTable({ ...TABLE, rows: [] })).toBe('Exact match\n\nstage  seen\n─────  ────\n');
});

describe('text from outside', () => {
  test('control characters cannot move the cursor', () => {
    expect(printable('a\u001b[2Jb\r\nc\u009b')).toBe('a [2Jb c ');
  });

  test('Markdown shows it as it is, on one line', () => {
    expect(escapeMarkdown('<img src=x> [a](b) *c* `d`\n| e')).toBe(
      '\\<img src=x\\> \\[a\\](b) \\*c\\* \\`d\\` \\| e',
    );
  });
});
