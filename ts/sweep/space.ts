import type { Dimension, SweepConfig } from '../config/schema/sweep.js';
import type { Domain, TrialRow } from '../metrics/sweep_rows.js';

export type Space = SweepConfig['space'];
/** What a trial lays over the run, by path. */
export type Parameters = TrialRow['parameters'];
export type ParameterValue = Parameters[string];

/** A dimension as files and the search have it. */
export function domainOf(dimension: Dimension): Domain {
  if ('values' in dimension) return { kind: 'values', values: dimension.values as ParameterValue[] };
  if ('int' in dimension) {
    const [low, high] = dimension.int;
    const { step, log } = dimension;
    return { kind: 'int', low, high: high - ((high - low) % step), step, log };
  }
  const log = 'log_uniform' in dimension;
  const [low, high] = log ? dimension.log_uniform : dimension.uniform;
  return { kind: 'float', low, high, log };
}

export const domainsOf = (space: Space): Readonly<Record<string, Domain>> =>
  Object.fromEntries(Object.entries(space).map(([path, dimension]) => [path, domainOf(dimension)]));

/** Every value of a domain that has finitely many; null of one that does not. */
function pointsOf(domain: Domain): number | null {
  if (domain.kind === 'values') return domain.values.length;
  return domain.kind === 'int' ? (domain.high - domain.low) / domain.step + 1 : null;
}

/** Points of the grid over a space; null where a dimension has no finite number of values. */
export function gridSize(space: Space): number | null {
  return Object.values(domainsOf(space))
    .map(pointsOf)
    .reduce<number | null>((size, points) => (size === null || points === null ? null : size * points), 1);
}

/** Trials in all: those asked for, of a grid at most its points. */
export function trialsWanted({ search, space }: Pick<SweepConfig, 'search' | 'space'>): number {
  const most = search.kind === 'grid' ? (gridSize(space) ?? 0) : Number.POSITIVE_INFINITY;
  return Math.min(search.trials ?? most, most);
}

/** Ends of a range, or all values. */
export function endsOf(dimension: Dimension): readonly ParameterValue[] {
  const domain = domainOf(dimension);
  return domain.kind === 'values' ? domain.values : [...new Set([domain.low, domain.high])];
}

/** More corners than this are not all tried: each takes a resolution of the run. */
const MOST_CORNERS = 64;

/**
 * Points to try before anything is trained: every corner of the space; where these are too many, every end of each
 * dimension with the others at their first ends, and at their last.
 */
export function cornersOf(space: Space): readonly Parameters[] {
  const ends = Object.entries(space).map(([path, dimension]) => [path, endsOf(dimension)] as const);
  const count = ends.reduce((product, [, values]) => product * values.length, 1);
  if (count <= MOST_CORNERS)
    return ends.reduce<readonly Parameters[]>(
      (corners, [path, values]) =>
        corners.flatMap((corner) => values.map((value) => ({ ...corner, [path]: value }))),
      [{}],
    );
  const anchors = [0, -1].map(
    (index) => Object.fromEntries(ends.map(([path, values]) => [path, values.at(index)])) as Parameters,
  );
  return anchors.flatMap((anchor) =>
    ends.flatMap(([path, values]) => values.map((value) => ({ ...anchor, [path]: value }))),
  );
}
