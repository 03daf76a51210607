import { mean, sampleStandardDeviation } from 'simple-statistics';
import type { DecodingKind, EvaluationRow, StepRow, StepSeconds } from './rows.js';

/** One metric of one model on one dataset, over its decoding seeds. */
export interface Summary {
  readonly stage: string;
  readonly step: number;
  readonly final: boolean;
  readonly dataset: string;
  readonly metric: string;
  readonly decoding: DecodingKind;
  readonly mean: number;
  /** Sample standard deviation of the seeds' means (divisor n − 1); null with fewer than two seeds. */
  readonly sd: number | null;
  /** Means taken together: decoding seeds, or 1 where nothing is drawn. */
  readonly seeds: number;
  readonly rows: number;
  /** Fraction of responses that ended with EOS, and response tokens; null where nothing was generated. */
  readonly ended: number | null;
  readonly mean_length: number | null;
}

/**
 * Mean ± standard deviation over decoding seeds of every stage × step × dataset × metric × decoding, in the
 * order in which each first occurs. A seed that occurs twice (an evaluation repeated after a crash) counts
 * once, by its last row.
 */
export function summarise(rows: readonly EvaluationRow[]): Summary[] {
  return [...groupBy(rows, summaryKey).values()].map((group) => summary(oncePerSeed(group)));
}

/** The summary with the best mean of `metric`; the earlier step wins a tie. Undefined when there is none. */
export function best(
  summaries: readonly Summary[],
  metric: string,
  mode: 'max' | 'min' = 'max',
): Summary | undefined {
  const sign = mode === 'max' ? 1 : -1;
  const candidates = summaries.filter((candidate) => candidate.metric === metric);
  return candidates.reduce<Summary | undefined>((leader, candidate) => {
    if (leader === undefined) return candidate;
    const lead = sign * (candidate.mean - leader.mean);
    return lead > 0 || (lead === 0 && candidate.step < leader.step) ? candidate : leader;
  }, undefined);
}

/** What was evaluated: the stage's exported model by its name, an earlier state of it as `NAME, step N`. */
export function modelName({ stage, step, final }: Pick<Summary, 'stage' | 'step' | 'final'>): string {
  return final ? stage : `${stage}, step ${step}`;
}

/** Per-row scores of one model on one dataset: the mean over decoding seeds, in dataset order. */
export function rowScores(rows: readonly EvaluationRow[]): readonly number[] | undefined {
  const runs = oncePerSeed(rows).flatMap((row) => (row.scores === undefined ? [] : [row.scores]));
  const first = runs[0];
  if (first === undefined || runs.some((scores) => scores.length !== first.length)) return undefined;
  return first.map((_, index) => mean(runs.map((scores) => scores[index] ?? Number.NaN)));
}

export interface Throughput {
  readonly steps: number;
  /** Wall clock of the steps, in seconds; evaluation and checkpoints between steps are not in it. */
  readonly seconds: number;
  /** Prompt and response tokens trained on, those of responses among them, and tokens drawn. */
  readonly tokens: number;
  readonly response_tokens: number;
  readonly drawn_tokens: number;
  /** `tokens` per second of wall clock. */
  readonly tokens_per_second: number | null;
  /** Tokens drawn, per second of generation. */
  readonly generated_per_second: number | null;
}

/** Parts of a step's time, in the order in which a step goes through them. */
export const PHASES = [
  'generate',
  'build',
  'teacher',
  'prepass',
  'critic',
  'student',
  'end',
  'wire',
  'idle',
] as const satisfies readonly (keyof StepSeconds)[];

const PARTS = [...PHASES, 'total'] as const satisfies readonly (keyof StepSeconds)[];

/** Seconds by phase, summed over steps; `other` is what the phases leave of the total. */
export type PhaseSeconds = Readonly<Record<(typeof PHASES)[number] | 'other' | 'total', number>>;

/** Sums over steps, whose rows are taken one by one: those of a long run are too many to be held. */
export class StepTotals {
  #steps = 0;
  #tokens = 0;
  #responseTokens = 0;
  #drawnTokens = 0;
  readonly #seconds = Object.fromEntries(PARTS.map((part) => [part, 0])) as Record<keyof StepSeconds, number>;

  add({ tokens, drawn_tokens, seconds }: StepRow): void {
    this.#steps += 1;
    this.#tokens += tokens.batch;
    this.#responseTokens += tokens.response;
    this.#drawnTokens += drawn_tokens ?? tokens.generated;
    for (const part of PARTS) this.#seconds[part] += seconds[part];
  }

  get throughput(): Throughput {
    const { generate, total } = this.#seconds;
    return {
      steps: this.#steps,
      seconds: total,
      tokens: this.#tokens,
      response_tokens: this.#responseTokens,
      drawn_tokens: this.#drawnTokens,
      tokens_per_second: rate(this.#tokens, total),
      generated_per_second: rate(this.#drawnTokens, generate),
    };
  }

  /**
   * Where the time of the steps went. Phases may overlap (the wire works while the worker computes), so their sum
   * may exceed the total; `other` is then 0.
   */
  get secondsByPhase(): PhaseSeconds {
    const { total, ...phases } = this.#seconds;
    const known = Object.values(phases).reduce((left, right) => left + right, 0);
    return { ...phases, other: Math.max(0, total - known), total };
  }
}

export function throughput(steps: Iterable<StepRow>): Throughput {
  const totals = new StepTotals();
  for (const row of steps) totals.add(row);
  return totals.throughput;
}

/** Groups in the order in which their keys first occur. */
export function groupBy<Value>(
  values: readonly Value[],
  key: (value: Value) => string,
): ReadonlyMap<string, readonly Value[]> {
  const groups = new Map<string, Value[]>();
  for (const value of values) {
    const group = groups.get(key(value));
    if (group === undefined) groups.set(key(value), [value]);
    else group.push(value);
  }
  return groups;
}

function summaryKey(row: EvaluationRow): string {
  return JSON.stringify([row.stage, row.step, row.final, row.dataset, row.metric, row.decoding]);
}

function oncePerSeed(rows: readonly EvaluationRow[]): EvaluationRow[] {
  return [...new Map(rows.map((row) => [row.seed, row])).values()];
}

function summary(rows: readonly EvaluationRow[]): Summary {
  const [first] = rows;
  if (first === undefined) throw new RangeError('a summary needs at least one row');
  const { stage, step, final, dataset, metric, decoding } = first;
  const means = rows.map((row) => row.mean);
  return {
    stage,
    step,
    final,
    dataset,
    metric,
    decoding,
    mean: mean(means),
    sd: means.length < 2 ? null : sampleStandardDeviation(means),
    seeds: rows.length,
    rows: first.rows,
    ended: meanOrNull(rows.map((row) => row.ended)),
    mean_length: meanOrNull(rows.map((row) => row.mean_length)),
  };
}

function meanOrNull(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : mean(known);
}

function rate(amount: number, seconds: number): number | null {
  return seconds > 0 ? amount / seconds : null;
}
