import { html, type Markup } from './markup.js';
import type { Cell, Table } from './table.js';

/** The table as HTML, title and note included; a wide one scrolls in its own box. */
export function tableMarkup({ title, columns, rows, note }: Table): Markup {
  const head = columns.map(({ label, align }) => html`<th class="${align}" scope="col">${label}</th>`);
  const body = rows.map((row) => {
    const cells = row.map((cell, index) => cellMarkup(cell, columns[index]?.align ?? 'left'));
    return html`<tr>${cells}</tr>\n`;
  });
  return html`${title === '' ? [] : html`<h3>${title}</h3>`}<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>
${note === '' ? [] : html`<p class="note">${note}</p>`}`;
}

/** Longer texts are folded: a reason, a list, a prompt. */
const LONGEST = 46;

function cellMarkup({ text, detail, strong }: Cell, align: string): Markup {
  const kind = `${align}${strong === true ? ' strong' : ''}`;
  const main = strong === true ? html`<b>${text}</b>` : longText(text);
  return html`<td class="${kind}">${main}${detail === undefined ? [] : html` <small>(${detail})</small>`}</td>`;
}

function longText(text: string): Markup {
  if (text.length <= LONGEST) return html`${text}`;
  const beginning = [...text].slice(0, LONGEST - 10).join('');
  return html`<details><summary>${beginning}…</summary>${text}</details>`;
}
