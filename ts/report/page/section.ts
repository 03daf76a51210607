import type { Chart } from '../charts/chart.js';
import type { Markup } from '../formats/markup.js';

/** A part of the page. Builders return undefined where there is nothing for it. */
export interface Section {
  readonly id: string;
  readonly title: string;
  readonly body: Markup;
  /** What is drawn in the body, for files of their own. */
  readonly charts: readonly Chart[];
}
