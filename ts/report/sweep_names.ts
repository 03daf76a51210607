import { formatFigure } from './figures.js';

/** Paths without the beginning that all of them have: `stages.ammd.training.lr.from` → `training.lr.from`. */
export function shortNames(paths: readonly string[]): ReadonlyMap<string, string> {
  const parts = paths.map((path) => path.split('.'));
  const [first = []] = parts;
  const limit = Math.min(...parts.map((own) => own.length - 1));
  const differing = first.findIndex((part, at) => parts.some((own) => own[at] !== part));
  const common = Math.min(limit, differing < 0 ? limit : differing);
  return new Map(paths.map((path, at) => [path, (parts[at] ?? []).slice(common).join('.')]));
}

/** A parameter's value as a person reads it. */
export function formatValue(value: unknown): string {
  if (typeof value === 'number') return formatFigure(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
