/** One cell: a figure or a name, and beside it, smaller, what qualifies it. */
export interface Cell {
  readonly text: string;
  readonly detail?: string;
  readonly strong?: boolean;
}

/** A table before any markup; HTML, Markdown and the terminal show the same one. */
export interface Table {
  readonly title: string;
  readonly columns: readonly { readonly label: string; readonly align: 'left' | 'right' }[];
  readonly rows: readonly (readonly Cell[])[];
  /** What a reader must know to read the figures right. */
  readonly note: string;
}

/** Where there is no figure. */
export const NONE: Cell = { text: '–' };

export const column = (label: string, align: 'left' | 'right' = 'left') => ({ label, align });

export function cell(text: string, detail?: string): Cell {
  return detail === undefined ? { text } : { text, detail };
}

/** The table as GitHub-flavoured Markdown, title and note included. */
export function markdownTable(table: Table): string {
  const header = table.columns.map((column) => escapeMarkdown(column.label));
  const rule = table.columns.map((column) => (column.align === 'right' ? '--:' : '---'));
  const rows = table.rows.map((row) => row.map(markdownCell));
  const lines = [header, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  const note = table.note === '' ? [] : ['', escapeMarkdown(table.note)];
  return [`### ${escapeMarkdown(table.title)}`, '', ...lines, ...note, ''].join('\n');
}

function markdownCell({ text, detail, strong }: Cell): string {
  const main = strong === true && text !== '' ? `**${escapeMarkdown(text)}**` : escapeMarkdown(text);
  return detail === undefined ? main : `${main} (${escapeMarkdown(detail)})`;
}

/** Text that Markdown shows as it is: names and notes come from configs and may hold anything. */
export function escapeMarkdown(text: string): string {
  return text
    .replaceAll(/[\\`*_[\]<>|#&!~]/g, (character) => `\\${character}`)
    .replaceAll(/\s+/g, ' ')
    .trim();
}

/** The table for a terminal: aligned columns, no markup, a star before marked figures. */
export function textTable(table: Table): string {
  const columns = table.columns.map(({ label, align }, index) => {
    const cells = table.rows.map((row) => row[index] ?? { text: '' });
    const lines = align === 'right' ? figureLines(cells) : cells.map(({ text }) => printable(text));
    const width = Math.max(label.length, ...lines.map((line) => line.length));
    const pad = (text: string): string => (align === 'right' ? text.padStart(width) : text.padEnd(width));
    return [pad(label), '─'.repeat(width), ...lines.map(pad)];
  });
  const height = table.rows.length + 2;
  const lines = Array.from({ length: height }, (_, at) =>
    columns
      .map((column) => column[at])
      .join('  ')
      .trimEnd(),
  );
  return [table.title, '', ...lines, ''].join('\n');
}

/** Figures and what is beside them, each aligned on its own. */
function figureLines(cells: readonly Cell[]): string[] {
  const texts = cells.map(({ text, strong }) => printable(strong === true ? `* ${text}` : text));
  const details = cells.map(({ detail }) => (detail === undefined ? '' : printable(` (${detail})`)));
  const textWidth = Math.max(0, ...texts.map((text) => text.length));
  const detailWidth = Math.max(0, ...details.map((detail) => detail.length));
  return texts.map((text, index) => text.padStart(textWidth) + (details[index] ?? '').padStart(detailWidth));
}

/** Without control characters, which could move a terminal's cursor. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ');
}
