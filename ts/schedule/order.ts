import { present } from '../common/present.js';

/**
 * Rows from easy to hard, or the other way round; rows of the same difficulty in the order of their numbers.
 *
 * @param difficulty one figure a row
 * @returns every row number once
 */
export function orderBy(difficulty: readonly number[], descending: boolean): readonly number[] {
  const sign = descending ? -1 : 1;
  const figure = (row: number) => present(difficulty[row], 'figure of a row that is ordered');
  return Array.from(difficulty, (_, row) => row).sort((a, b) => sign * (figure(a) - figure(b)) || a - b);
}
