import { mean, sampleStandardDeviation } from 'simple-statistics';
import type { Decoding, EvaluationRow, StepRow, StepSeconds } from './rows.js';

/** One metric of one model on one dataset, over its decoding seeds. */
export interface Summary {
  readonly stage: string;
  readonly step: number;
  readonly final: boolean;
  readonly dataset: string;
  readonly metric: string;
  readonly decoding: Decoding;
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

export function throughput(steps: readonly StepRow[]): Throughput {
  const sum = (value: (row: StepRow) => number): number =>
    steps.reduce((total, row) => total + value(row), 0);
  const seconds = sum((row) => row.seconds.total);
  const tokens = sum((row) => row.tokens.batch);
  const drawn = sum((row) => row.drawn_tokens ?? row.tokens.generated);
  return {
    steps: steps.length,
    seconds,
    tokens,
    response_tokens: sum((row) => row.tokens.response),
    drawn_tokens: drawn,
    tokens_per_second: rate(tokens, seconds),
    generated_per_second: rate(
      drawn,
      sum((row) => row.seconds.generate),
    ),
  };
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

/** Seconds by phase, summed over steps; `other` is what the phases leave of the total. */
export type PhaseSeconds = Readonly<Record<(typeof PHASES)[number] | 'other' | 'total', number>>;

/**
 * Where the time of a stage's steps went. Phases may overlap (the wire works while the worker computes), so
 * their sum may exceed the total; `other` is then 0.
 */
export function secondsByPhase(steps: readonly StepRow[]): PhaseSeconds {
  const sum = (phase: keyof StepSeconds): number =>
    steps.reduce((total, row) => total + row.seconds[phase], 0);
  const phases = Object.fromEntries(PHASES.map((phase) => [phase, sum(phase)]));
  const total = sum('total');
  const known = Object.values(phases).reduce((left, right) => left + right, 0);
  return { ...(phases as Record<(typeof PHASES)[number], number>), other: Math.max(0, total - known), total };
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
