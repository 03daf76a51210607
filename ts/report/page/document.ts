import { html, Markup } from '../formats/markup.js';
import type { Section } from './section.js';
import { STYLE } from './style.js';

/** One page without scripts or outside parts: it opens from disk, from mail, years later. */
export function renderDocument(title: string, headline: string, sections: readonly Section[]): Markup {
  const links = sections.map(({ id, title: text }) => html`<a href="#${id}">${text}</a> `);
  const body = sections.map(
    ({ id, title: heading, body: content }) =>
      html`<section id="${id}"><h2>${heading}</h2>${content}</section>\n`,
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<header><h1>${title}</h1><p class="soft">${headline}</p><nav>${links}</nav></header>
${body}</body>
</html>
`;
}
