import type { Markup } from './markup.js';

/** A part of the page. Builders return undefined where the run has nothing for it. */
export interface Section {
  readonly id: string;
  readonly title: string;
  readonly body: Markup;
}
