import { groupBy } from '../metrics/aggregate.js';
import type { SampleRow } from '../metrics/rows.js';
import { html, type Markup, type Section } from './markup.js';
import type { RunData } from './read_run.js';

/** Each sampled prompt once, with the reference and the last text of every stage below each other. */
export function sampleSection(run: RunData): Section | undefined {
  const last = run.stages.flatMap((stage) => lastPerRow(stage.samples));
  if (last.length === 0) return undefined;
  const body = [...groupBy(last, (sample) => sample.dataset)].map(([dataset, samples], index) => {
    const cards = [...groupBy(samples, (sample) => String(sample.row)).values()].map(card);
    return html`<details${index === 0 ? html` open` : ''}><summary>${dataset}</summary>${cards}</details>`;
  });
  const note = html`<p class="note">The first rows of each set, not chosen; each stage's last text. A check mark: the text is a
reference, letter by letter.</p>`;
  return { id: 'samples', title: 'Samples', body: html`${note}${body}` };
}

function lastPerRow(samples: readonly SampleRow[]): SampleRow[] {
  return [
    ...new Map(samples.map((sample) => [JSON.stringify([sample.dataset, sample.row]), sample])).values(),
  ];
}

function card(samples: readonly SampleRow[]): Markup {
  const [first] = samples;
  const references = (first?.references ?? []).map((reference) => entry('reference', html`${reference}`));
  const texts = samples.map((sample) => {
    const same = sample.references.some((reference) => reference.trim() === sample.text.trim());
    const mark = same ? html` <span class="same" title="equals a reference">✓</span>` : '';
    return entry(
      sample.stage,
      sample.text === '' ? html`<span class="soft">(empty)</span>` : html`${sample.text}${mark}`,
    );
  });
  return html`<div class="sample"><dl>${entry('prompt', html`${first?.prompt ?? ''}`)}${references}${texts}</dl></div>`;
}

function entry(name: string, text: Markup): Markup {
  return html`<dt>${name}</dt><dd class="text">${text}</dd>`;
}
