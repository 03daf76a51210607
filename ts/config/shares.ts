/**
 * Rows of each part in a batch: the shares times the batch size, rounded by largest remainder so that they
 * sum to it. Ties go to the part named first. A part that would have none gets one of the largest part's, while that
 * has more than one: its terms and its critic would have nothing to see.
 */
export function partRows(
  sources: Readonly<Record<string, { readonly share: number }>>,
  batchSize: number,
): ReadonlyMap<string, number> {
  // A product such as 2.9999999999999996 is 3 whole rows with nothing left over.
  const exact = Object.entries(sources).map(([part, { share }]) => {
    const whole = Math.floor(share * batchSize + 1e-9);
    return { part, whole, left: share * batchSize - whole };
  });
  const rows = new Map(exact.map(({ part, whole }) => [part, whole]));
  const missing = batchSize - [...rows.values()].reduce((sum, count) => sum + count, 0);
  const byRemainder = exact.toSorted((a, b) => b.left - a.left);
  for (const { part } of byRemainder.slice(0, Math.max(missing, 0)))
    rows.set(part, (rows.get(part) ?? 0) + 1);
  for (const part of [...rows.keys()].filter((name) => rows.get(name) === 0)) {
    const [largest, most] = [...rows].reduce((a, b) => (b[1] > a[1] ? b : a));
    if (most < 2) break;
    rows.set(largest, most - 1).set(part, 1);
  }
  return rows;
}
