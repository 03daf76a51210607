import { sum } from 'simple-statistics';
import { StepTotals } from '../../metrics/aggregate.js';
import type { StepRow } from '../../metrics/rows.js';

/** Figures of a metric at steps beside each other, taken together; in a run of ordinary length, of one step. */
export interface Span {
  /** The last that has a figure. */
  readonly step: number;
  readonly count: number;
  readonly sum: number;
  readonly low: number;
  readonly high: number;
}

/** Spans held at most; a chart draws 80 points. Runs with no more steps are shown as if every row were held. */
export const MOST_SPANS = 4096;

const FIELDS = 5;
const fieldsOf = (span: Span): number[] => [span.step, span.count, span.sum, span.low, span.high];

/**
 * A metric's figures in the order of their steps, in memory that does not grow with them: when there are too many
 * spans, each gets twice as wide. The spans of all tracks of one width begin and end at the same steps.
 */
export class Track {
  #width = 1;
  /** Each span's fields after those of the span before: objects would take three times the memory. */
  #fields: number[] = [];

  /** Steps that a span covers. */
  get width(): number {
    return this.#width;
  }

  add(step: number, figure: number): void {
    this.#put({ step, count: 1, sum: figure, low: figure, high: figure });
    while (this.#fields.length > FIELDS * MOST_SPANS) this.#widen();
  }

  /** The spans that have a figure, by their place among all from the first step on. */
  get spans(): ReadonlyMap<number, Span> {
    const spans = Array.from({ length: this.#fields.length / FIELDS }, (_, at) => this.#spanAt(at * FIELDS));
    return new Map(spans.map((span) => [this.#placeOf(span.step), span]));
  }

  /** The same figures in spans of at least the width of another track. */
  widenedTo(width: number): Track {
    if (width <= this.#width) return this;
    const track = new Track();
    track.#width = width;
    for (const span of this.spans.values()) track.#put(span);
    return track;
  }

  #widen(): void {
    const wider = this.widenedTo(2 * this.#width);
    this.#width = wider.#width;
    this.#fields = wider.#fields;
  }

  #put(span: Span): void {
    const start = this.#fields.length - FIELDS;
    const last = start < 0 ? undefined : this.#spanAt(start);
    if (last !== undefined && this.#placeOf(last.step) === this.#placeOf(span.step))
      this.#fields.splice(start, FIELDS, ...fieldsOf(joined(last, span)));
    else this.#fields.push(...fieldsOf(span));
  }

  #spanAt(start: number): Span {
    const [step = 0, count = 0, sum = 0, low = 0, high = 0] = this.#fields.slice(start, start + FIELDS);
    return { step, count, sum, low, high };
  }

  #placeOf(step: number): number {
    return Math.ceil(step / this.#width);
  }
}

function joined(left: Span, right: Span): Span {
  return {
    step: right.step,
    count: left.count + right.count,
    sum: left.sum + right.sum,
    low: Math.min(left.low, right.low),
    high: Math.max(left.high, right.high),
  };
}

/** Mean of the figures of all steps in some spans, of which there is one at least. */
export function meanOf(spans: readonly Span[]): number {
  return sum(spans.map((span) => span.sum)) / sum(spans.map(({ count }) => count));
}

/** What a report shows of a stage's steps, taken from their rows one by one; no row is held. */
export class StepHistory {
  readonly totals = new StepTotals();
  readonly lr = new Track();
  readonly criticLr = new Track();
  readonly #metrics = new Map<string, Track>();
  #last = 0;

  /** @param rows in the order of their steps */
  constructor(rows: Iterable<StepRow> = []) {
    for (const row of rows) this.#add(row);
  }

  /** The last step; 0 where there is none. */
  get last(): number {
    return this.#last;
  }

  /** Metrics that were logged, be it without a figure, in the order in which they first were. */
  get names(): string[] {
    return [...this.#metrics.keys()];
  }

  metric(name: string): Track {
    return this.#metrics.get(name) ?? new Track();
  }

  #add(row: StepRow): void {
    this.#last = row.step;
    this.totals.add(row);
    this.lr.add(row.step, row.lr);
    if (row.critic_lr !== null) this.criticLr.add(row.step, row.critic_lr);
    for (const [name, figure] of Object.entries(row.metrics)) {
      const track = this.metric(name);
      this.#metrics.set(name, track);
      if (figure !== null) track.add(row.step, figure);
    }
  }
}
