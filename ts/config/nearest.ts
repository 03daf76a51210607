/**
 * Edit distance with insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
 */
export function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const cell = (i: number, j: number) => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(cell(i - 1, j) + 1, cell(i, j - 1) + 1, cell(i - 1, j - 1) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, cell(i - 2, j - 2) + 1);
      }
      row.push(best);
    }
  }
  return cell(a.length, b.length);
}

/** The candidate closest to `word`, or null when none is close enough to be meant. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  const limit = Math.max(2, Math.floor(word.length / 3));
  let best: string | null = null;
  let least = limit + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < least) {
      best = candidate;
      least = distance;
    }
  }
  return best;
}

/** End of a sentence about an unknown name: the nearest known one, or all that there are. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const close = nearest(word, candidates);
  if (close !== null) return `; did you mean "${close}"?`;
  return candidates.length === 0 ? '; there are none' : `; known: ${candidates.join(', ')}`;
}
