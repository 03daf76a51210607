import type { StageData } from '../read/run.js';
import type { LegendItem } from './chart.js';
import { roundOf, seriesColour } from './palette.js';

/** What is drawn as one line: a stage, or the same stage of runs that differ by their seed. */
export interface Series {
  /** Unique among those shown together. */
  readonly name: string;
  /** Decides its looks, the same in every chart of a page. */
  readonly place: number;
  readonly members: readonly StageData[];
}

const DASHES: readonly (readonly number[] | undefined)[] = [undefined, [6, 3], [2, 2]];

export function dashOf(place: number): readonly number[] | undefined {
  return DASHES[roundOf(place) % DASHES.length];
}

export function legendItem(
  { name, place }: Pick<Series, 'name' | 'place'>,
  shape: 'bar' | 'line',
): LegendItem {
  const dash = shape === 'line' ? dashOf(place) : undefined;
  return { label: name, colour: seriesColour(place), shape, ...(dash === undefined ? {} : { dash }) };
}

/** The stages of one run, each for itself. */
export function seriesOfStages(stages: readonly StageData[]): Series[] {
  return stages.map((stage, place) => ({ name: stage.name, place, members: [stage] }));
}
