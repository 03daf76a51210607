import { formatFigure } from '../formats/number_format.js';

/**
 * The ends of paths, as long as it takes to tell them apart, of two parts where there are as many:
 * `stages.ammd.training.lr.from` → `lr.from`. A last part `value`, which every constant schedule has, is left out.
 */
export function shortNames(paths: readonly string[]): ReadonlyMap<string, string> {
  const parts = paths.map((path) => path.replace(/\.value$/, '').split('.'));
  const ends = (length: number): string[] => parts.map((own) => own.slice(-length).join('.'));
  return new Map(
    paths.map((path, at) => {
      const lengths = (parts[at] ?? []).map((_, index) => index + 1).filter((length) => length >= 2);
      const enough = lengths.find((length) => {
        const all = ends(length);
        return all.indexOf(all[at] ?? '') === all.lastIndexOf(all[at] ?? '');
      });
      return [path, enough === undefined ? path : (ends(enough)[at] ?? path)];
    }),
  );
}

/** A parameter's value as a person reads it. */
export function formatValue(value: unknown): string {
  if (typeof value === 'number') return formatFigure(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
