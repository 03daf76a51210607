import type { Domain, SweepSummary, TrialRow } from '../../metrics/sweep_rows.js';
import { metricTitle } from '../formats/metric_titles.js';
import { formatFigure, formatSeconds } from '../formats/number_format.js';
import { cell, column, NONE, type Table } from '../formats/table.js';
import type { SweepData } from '../read/sweep.js';
import { formatValue, shortNames } from './names.js';

/** `Exact match on validation, sampled`. */
export function objectiveTitle({ objective }: SweepSummary): string {
  const { metric, dataset, decoding } = objective;
  return `${metricTitle(metric)} on ${dataset}, ${decoding.replace('_', ' ')}`;
}

/** The trials with a value, from the best to the worst; of equals the first. */
export function ranked({ summary, trials }: SweepData): (TrialRow & { readonly value: number })[] {
  const sign = summary.objective.mode === 'max' ? -1 : 1;
  return trials
    .flatMap((trial) => (trial.value === null ? [] : [{ ...trial, value: trial.value }]))
    .sort((left, right) => sign * (left.value - right.value) || left.number - right.number);
}

/** Every finished trial, by number. */
export function trialTable(data: SweepData): Table {
  const { summary, trials } = data;
  const names = shortNames(Object.keys(summary.space));
  return {
    title: 'Trials',
    columns: [
      column('trial', 'right'),
      column('state'),
      column(metricTitle(summary.objective.metric), 'right'),
      ...[...names.values()].map((name) => column(name, 'right')),
      column('time', 'right'),
      column('why'),
    ],
    rows: trials.map((trial) => [
      cell(String(trial.number)),
      cell(trial.state),
      trial.value === null
        ? NONE
        : { text: formatFigure(trial.value), strong: trial.number === summary.best?.number },
      ...[...names.keys()].map((path) =>
        trial.parameters[path] === undefined ? NONE : cell(formatValue(trial.parameters[path])),
      ),
      cell(formatSeconds(trial.seconds)),
      trial.reason === null ? cell('') : cell(trial.reason),
    ]),
    note: `${objectiveTitle(summary)}, ${summary.objective.mode === 'max' ? 'the more' : 'the less'} the better. The best trial is marked. pruned: stopped early, since others were better at the same step. Time of the judged stage alone.`,
  };
}

/** What was searched, and what came out best. */
export function spaceTable({ summary }: SweepData): Table {
  return {
    title: 'Search space',
    columns: [column('parameter'), column('values'), column('best', 'right'), column('importance', 'right')],
    rows: Object.entries(summary.space).map(([path, domain]) => {
      const best = summary.best?.parameters[path];
      const importance = summary.importances?.[path];
      return [
        cell(path),
        cell(domainText(domain)),
        best === undefined ? NONE : cell(formatValue(best)),
        importance === undefined ? NONE : cell(`${(100 * importance).toFixed(0)} %`),
      ];
    }),
    note: 'importance: share of each parameter in being among the best tenth of the trials (PED-ANOVA).',
  };
}

function domainText(domain: Domain): string {
  if (domain.kind === 'values') return domain.values.map(formatValue).join(', ');
  const range = `${formatFigure(domain.low)} to ${formatFigure(domain.high)}`;
  const step = domain.kind === 'int' && domain.step !== 1 ? `, in steps of ${domain.step}` : '';
  return `${range}${step}${domain.log ? ', logarithmic' : ''}`;
}
