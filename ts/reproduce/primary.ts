import type { PrimaryComparison } from '../metrics/table_file.js';
import { FEWEST_SEEDS } from '../metrics/tested_difference.js';
import { formatProbability, formatSigned } from '../report/formats/number_format.js';
import type { Compared } from './comparisons.js';

/** The one comparison that a table is made for, declared before any test score is there. */
export interface DeclaredPrimary {
  readonly row: string;
  /** Index of the column. */
  readonly column: number;
  /** Rows of which the best on the tuning set is the opponent. */
  readonly baselines: readonly string[];
}

/**
 * The baseline with the best figure on the tuning set, of equals the first; undefined when none has a figure. It takes
 * nothing else, so that no test score can decide who is compared.
 */
export function bestBaseline(
  baselines: readonly string[],
  tuning: ReadonlyMap<string, number>,
): string | undefined {
  return baselines.reduce<string | undefined>((leader, row) => {
    const figure = tuning.get(row);
    if (figure === undefined) return leader;
    const lead = leader === undefined ? undefined : tuning.get(leader);
    return lead === undefined || figure > lead ? row : leader;
  }, undefined);
}

export interface PrimaryInputs {
  readonly declared: DeclaredPrimary;
  readonly tuning: ReadonlyMap<string, number>;
  /** Baseline minus the declared row, in the declared column. */
  readonly compared: Compared;
  /** Title of the column, and labels of rows by id. */
  readonly column: string;
  readonly label: (row: string) => string;
}

/** The primary comparison, as the declared row minus the baseline. */
export function primaryComparison(inputs: PrimaryInputs): PrimaryComparison {
  const { declared, tuning, compared, label, column } = inputs;
  const { tested, row: against } = compared;
  const { p, seeds, rows, resamples } = tested;
  const turned = { difference: -tested.difference, low: -tested.high, high: -tested.low, p };
  return {
    row: declared.row,
    against,
    column: declared.column,
    ...turned,
    seeds,
    rows,
    resamples,
    tuning: declared.baselines.flatMap((row) => {
      const value = tuning.get(row);
      return value === undefined ? [] : [{ row, value }];
    }),
    declared:
      `${label(declared.row)} against the baseline with the best figure on the tuning set, on ${column}; ` +
      `candidates: ${declared.baselines.map(label).join(', ')}.`,
    conclusion: conclude(label(declared.row), label(against), { ...turned, seeds }),
  };
}

type Turned = Pick<PrimaryComparison, 'difference' | 'low' | 'high' | 'p' | 'seeds'>;

function conclude(row: string, against: string, { difference, low, high, p, seeds }: Turned): string {
  const signed = (value: number): string => formatSigned(value, (size) => size.toFixed(2));
  const figures = `${signed(difference)}, 95 % interval ${signed(low)} to ${signed(high)}, ${formatProbability(p)}`;
  if (seeds < FEWEST_SEEDS)
    return `${seeds} training seeds are too few to conclude anything about ${row} and ${against} (${figures}).`;
  if (p >= 0.05) return `No difference between ${row} and ${against} is shown (${figures}).`;
  return `${row} is ${difference > 0 ? 'better' : 'worse'} than ${against} (${figures}).`;
}
