import type { Series } from '../charts/series.js';
import type { RunGroup } from './run_groups.js';

/** The seeds of its members' runs, in their order; null where no configuration tells it. */
export interface ComparedSeries extends Series {
  readonly seeds: readonly (number | null)[];
}

/** One series for each stage of each group, by the group's label where it has one stage, else by both names. */
export function seriesOfGroups(groups: readonly RunGroup[]): ComparedSeries[] {
  const stages = groups.map(({ runs }) => [
    ...new Set(runs.flatMap((run) => run.stages.map(({ name }) => name))),
  ]);
  const single = stages.every((names) => names.length === 1);
  return groups
    .flatMap(({ label, runs }, at) =>
      (stages[at] ?? []).map((stage) => {
        const members = runs.flatMap((run) =>
          run.stages
            .filter(({ name }) => name === stage)
            .map((own) => ({ own, seed: run.config?.value.seed ?? null })),
        );
        return {
          name: single ? label : groups.length === 1 ? stage : `${label} / ${stage}`,
          members: members.map(({ own }) => own),
          seeds: members.map(({ seed }) => seed),
        };
      }),
    )
    .map((series, place) => ({ ...series, place }));
}

/** A stage that others learn from is no competitor in tables, and its curves are folded away. */
export const teaches = ({ members }: Series): boolean => members.some((stage) => stage.teaches);

export const methodOf = ({ members }: Series): string =>
  `${members[0]?.method ?? '–'}${members.some((stage) => stage.teaches) ? ' (teacher)' : ''}`;
