import type { Path } from './findings.js';
import type { AdaptiveSchedule, Schedule, StageConfig } from './schema.js';

/** A schedule with the place it is written at, below its stage. */
export interface PlacedSchedule {
  readonly schedule: Schedule;
  readonly path: Path;
}

type Entry = readonly [path: Path, schedule: Schedule | null | undefined];

/** Moves that take an adaptive schedule from `from` to `to`; the last may be shorter than the increment. */
export function mostMoves({ from, to, increment }: AdaptiveSchedule): number {
  return Math.ceil(Math.abs(to - from) / increment - 1e-9);
}

/** Evaluations after every `every` of the first `steps` steps, of which there are none while critics warm up. */
export function evaluationsWithin(every: number, warmup: number, steps: number): number {
  return Math.max(0, Math.floor(steps / every) - Math.floor(warmup / every));
}

/** Only models draw, and only the student by a mixture or from a buffer. */
function sourceSchedules({ sources }: StageConfig['method']): readonly Entry[] {
  return Object.entries(sources).flatMap(([part, { from, probability, mixture, replay }]) => {
    const at = ['method', 'sources', part];
    const model: readonly Entry[] = from === 'dataset' ? [] : [[[...at, 'probability'], probability]];
    const student: readonly Entry[] = [
      [[...at, 'mixture'], mixture],
      [[...at, 'replay', 'fresh'], replay?.fresh],
    ];
    return from === 'student' ? [...model, ...student] : model;
  });
}

/**
 * Every schedule of a stage under the name that state, plots and messages use: its path without `method`, for
 * example `training.lr`, `terms.kd.weight`, `sources.mix.probability`.
 */
export function stageSchedules({
  method,
  training,
  rollout,
}: StageConfig): ReadonlyMap<string, PlacedSchedule> {
  const entries: readonly Entry[] = [
    [['training', 'lr'], training.lr],
    [['rollout', 'temperature'], rollout.temperature],
    [['rollout', 'max_new_tokens'], rollout.max_new_tokens],
    ...sourceSchedules(method),
    [['method', 'on_policy_weight'], method.on_policy_weight],
    ...Object.entries(method.terms).flatMap(([term, { weight, params }]): readonly Entry[] => [
      [['method', 'terms', term, 'weight'], weight],
      ...Object.entries(params).flatMap(([param, value]): readonly Entry[] =>
        typeof value === 'number' ? [] : [[['method', 'terms', term, 'params', param], value]],
      ),
    ]),
    [['method', 'adversary', 'turns'], method.adversary.turns],
  ];
  const named = entries.flatMap(([path, schedule]) => {
    if (schedule === null || schedule === undefined) return [];
    const name = path.slice(path[0] === 'method' ? 1 : 0).join('.');
    return [[name, { schedule, path }] as const];
  });
  return new Map(named);
}
