import { groupBy } from '../../metrics/aggregate.js';
import type { SampleRow } from '../../metrics/rows.js';
import { html, type Markup } from '../formats/markup.js';
import type { RunData, StageData } from '../read/run.js';
import type { Section } from './section.js';

/** Whose text it is: the teacher's, the student's before its training, or after it. */
export type Role = 'teacher' | 'before' | 'after';

export interface Generation {
  readonly role: Role;
  readonly label: string;
  readonly sample: SampleRow;
}

const ROLES: readonly Role[] = ['teacher', 'before', 'after'];

/** What a run's models generated last, and before their first step where that was asked for. */
export function generationsOf(run: RunData, label: (stage: StageData) => string): Generation[] {
  return run.stages.flatMap((stage) => {
    const role = roleOf(stage);
    const last = [
      ...new Map(
        stage.samples.map((sample) => [JSON.stringify([sample.dataset, sample.row]), sample]),
      ).values(),
    ];
    const first = last.some(({ step }) => step > 0) ? stage.samples.filter(({ step }) => step === 0) : [];
    return [
      ...first.map((sample) => ({ role: 'before' as const, label: label(stage), sample })),
      ...last.map((sample) => ({ role, label: label(stage), sample })),
    ];
  });
}

function roleOf({ teaches, begins }: StageData): Role {
  if (teaches) return 'teacher';
  return begins ? 'before' : 'after';
}

/** Each sampled prompt once, with the reference and the models' texts beside each other. */
export function sampleSection(generations: readonly Generation[]): Section | undefined {
  if (generations.length === 0) return undefined;
  const body = [...groupBy(generations, ({ sample }) => sample.dataset)].map(([dataset, own], index) => {
    const cards = [...groupBy(own, ({ sample: { row, prompt } }) => `${row} ${prompt}`).values()].map(card);
    return html`<details${index === 0 ? html` open` : ''}><summary>${dataset}</summary>${cards}</details>`;
  });
  const note = html`<p class="note">The first rows of each set, not chosen; the last text of each model. before: what a student
started from; after: the student. A check mark: the text is a reference, letter by letter.</p>`;
  return { id: 'samples', title: 'Samples', body: html`${note}${body}`, charts: [] };
}

function card(generations: readonly Generation[]): Markup {
  const [first] = generations;
  const references = [...new Set(generations.flatMap(({ sample }) => sample.references))];
  const texts = ROLES.flatMap((role) => merged(generations.filter((it) => it.role === role))).map((it) => {
    const same = it.sample.references.some((reference) => reference.trim() === it.sample.text.trim());
    const mark = same ? html` <span class="same" title="equals a reference">✓</span>` : '';
    const text =
      it.sample.text === '' ? html`<span class="soft">(empty)</span>` : html`${it.sample.text}${mark}`;
    return entry(it.label === it.role ? it.role : `${it.role}: ${it.label}`, text);
  });
  return html`<div class="sample"><p class="text">${first?.sample.prompt ?? ''}</p>
<dl>${references.map((reference) => entry('reference', html`${reference}`))}${texts}</dl></div>`;
}

/** Teachers and starts that say the same are shown once: most runs that are compared share them. */
function merged(generations: readonly Generation[]): Generation[] {
  if (generations[0]?.role === 'after') return [...generations];
  return [...groupBy(generations, ({ sample }) => sample.text).values()].flatMap((same) => {
    const [first] = same;
    const labels = [...new Set(same.map((it) => it.label))];
    const label = labels.length > 3 ? `${labels[0]} and ${labels.length - 1} more` : labels.join(', ');
    return first === undefined ? [] : [{ ...first, label }];
  });
}

function entry(name: string, text: Markup): Markup {
  return html`<div><dt>${name}</dt><dd class="text">${text}</dd></div>`;
}
