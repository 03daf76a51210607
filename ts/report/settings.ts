import { html, type Markup, type Section } from './markup.js';
import type { RunData } from './read_run.js';

/** The resolved configuration as it was run, and what the manifest says of machine, versions and data. */
export function settingsSection(run: RunData): Section | undefined {
  const { config, manifest } = run;
  const text =
    config === null
      ? []
      : html`<details><summary>Resolved configuration</summary>${
          config.sha256 === null ? [] : html`<p class="note">SHA-256 ${config.sha256}</p>`
        }<pre>${config.text}</pre></details>`;
  const facts =
    manifest === null ? [] : html`<h3>Manifest</h3><dl class="facts">${factsOf('', manifest)}</dl>`;
  if (config === null && manifest === null) return undefined;
  return { id: 'settings', title: 'Settings', body: html`${text}${facts}` };
}

/** Every leaf of a JSON value with its path. */
function factsOf(path: string, value: unknown): Markup[] {
  if (typeof value !== 'object' || value === null) return [html`<dt>${path}</dt><dd>${String(value)}</dd>\n`];
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object' || item === null)) {
    return [html`<dt>${path}</dt><dd>${value.map(String).join(', ')}</dd>\n`];
  }
  return Object.entries(value).flatMap(([key, item]) => factsOf(path === '' ? key : `${path}.${key}`, item));
}
