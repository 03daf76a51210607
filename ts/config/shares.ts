/**
 * Rows of each part in a batch: the shares times the batch size, rounded by largest remainder so that they
 * sum to it. Ties go to the part named first.
 */
export function partRows(
  sources: Readonly<Record<string, { readonly share: number }>>,
  batchSize: number,
): ReadonlyMap<string, number> {
  const exact = Object.entries(sources).map(([part, { share }]) => ({ part, rows: share * batchSize }));
  const rows = new Map(exact.map((one) => [one.part, Math.floor(one.rows + 1e-9)]));
  const missing = batchSize - [...rows.values()].reduce((sum, count) => sum + count, 0);
  const byRemainder = exact.toSorted((a, b) => (b.rows % 1) - (a.rows % 1));
  for (const { part } of byRemainder.slice(0, Math.max(missing, 0)))
    rows.set(part, (rows.get(part) ?? 0) + 1);
  return rows;
}
