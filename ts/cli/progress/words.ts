import { type Summary, summarise, throughput } from '../../metrics/aggregate.js';
import type { EvaluationRow, StepRow } from '../../metrics/rows.js';
import { metricTitle } from '../../report/formats/metric_titles.js';
import { formatCount, formatFigure, formatScore } from '../../report/formats/number_format.js';
import type { StageProgress } from './state.js';

/** `loss 0.81`, `anchor 0.4`: the losses of the latest step, the total first. */
export function losses(row: StepRow | undefined): string[] {
  return Object.entries(row?.metrics ?? {}).flatMap(([name, value]) =>
    name === 'loss' || name.startsWith('loss_')
      ? [`${name.replace('loss_', '')} ${value === null ? 'not finite' : formatFigure(value)}`]
      : [],
  );
}

/** `6.6 k tokens/s`, over the latest steps; empty before the first. */
export function speed(stage: StageProgress): string {
  const rate = throughput(stage.recent).tokens_per_second;
  return rate === null ? '' : `${formatCount(rate)} tokens/s`;
}

/** The latest evaluation in one line: `validation, step 100: Exact match 31.2`; empty when there was none. */
export function lastEvaluation(rows: readonly EvaluationRow[]): string {
  const last = rows.at(-1);
  if (last === undefined) return '';
  const same = rows.filter(
    (row) => row.step === last.step && row.final === last.final && row.dataset === last.dataset,
  );
  const figures = summarise(same).map((it) => `${metricTitle(it.metric)} ${figure(it)}${decoding(it)}`);
  return `${last.dataset}, step ${last.step}: ${figures.join(', ')}`;
}

/** Final scores, one text a metric: `Exact match: seen 84.4, longer 60.0`. */
export function finalScores(rows: readonly EvaluationRow[]): string[] {
  const final = summarise(rows.filter((row) => row.final && row.decoding !== 'teacher_forced'));
  const sampled = final.some((it) => it.decoding === 'sampled') ? 'sampled' : 'greedy';
  const shown = final.filter((it) => it.decoding === sampled);
  return [...new Set(shown.map((it) => it.metric))].map((metric) => {
    const sets = shown
      .filter((it) => it.metric === metric)
      .map((it) => `${it.dataset} ${formatScore(it.mean)}`);
    return `${metricTitle(metric)}: ${sets.join(', ')}`;
  });
}

function figure({ mean, sd, decoding }: Summary): string {
  if (decoding === 'teacher_forced') return formatFigure(mean);
  return formatScore(mean) + (sd === null ? '' : ` ± ${formatScore(sd)}`);
}

function decoding({ decoding }: Summary): string {
  return decoding === 'greedy' ? ' (greedy)' : '';
}
