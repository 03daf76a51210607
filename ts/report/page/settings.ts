import { html } from '../formats/markup.js';
import type { RunData } from '../read/run.js';
import { leavesOf } from './leaves.js';
import type { Section } from './section.js';

/** The resolved configuration as it was run, and what the manifest says of machine, versions and data. */
export function settingsSection(run: RunData): Section | undefined {
  const { config, manifest } = run;
  if (config === null && manifest === null) return undefined;
  const text =
    config === null
      ? []
      : html`<details><summary>Resolved configuration</summary>${
          config.sha256 === null ? [] : html`<p class="note">SHA-256 ${config.sha256}</p>`
        }<pre>${config.text}</pre></details>`;
  const facts = leavesOf(manifest).map(([path, fact]) => html`<dt>${path}</dt><dd>${fact}</dd>\n`);
  const machine = manifest === null ? [] : html`<h3>Manifest</h3><dl class="facts">${facts}</dl>`;
  return { id: 'settings', title: 'Settings', body: html`${text}${machine}`, charts: [] };
}
