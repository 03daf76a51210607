/**
 * Holm's correction of p values for being many (Holm 1979, *A simple sequentially rejective multiple test
 * procedure*): the i-th smallest of m times m − i + 1, made monotone, at most 1. Written here because the
 * library that has it brings 159 packages.
 *
 * @returns in the order of `values`
 */
export function holm(values: readonly number[]): number[] {
  const order = values.map((_, at) => at).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const adjusted = new Array<number>(values.length);
  order.reduce((floor, at, rank) => {
    const next = Math.max(floor, Math.min(1, (values[at] ?? 0) * (values.length - rank)));
    adjusted[at] = next;
    return next;
  }, 0);
  return adjusted;
}
