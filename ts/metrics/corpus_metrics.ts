import { bleuOf, bleuScores } from './corpus_bleu.js';

/** `[rows][k]`: what each row adds to a metric whose figure is of all rows together. */
export type Statistics = readonly (readonly number[])[];

/** A metric that is no mean over rows, from the statistics that the worker sends for it. */
export interface CorpusMetric {
  /** Figure of the rows. */
  readonly figure: (statistics: Statistics) => number;
  /** One score a row, whose mean is the figure of these rows. */
  readonly scores: (statistics: Statistics) => readonly number[];
}

const CORPUS_METRICS: Readonly<Record<string, CorpusMetric>> = {
  bleu: { figure: bleuOf, scores: bleuScores },
};

/** @throws {RangeError} there is no such metric */
export function corpusMetric(name: string): CorpusMetric {
  const metric = CORPUS_METRICS[name];
  if (metric === undefined) throw new RangeError(`no metric of all rows together is called ${name}`);
  return metric;
}
