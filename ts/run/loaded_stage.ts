import type { OperationResult } from '../wire/protocol.gen.js';

export type LoadedRole = OperationResult<'load_role'>;
export type LoadedData = OperationResult<'register_data'>;

/** What the worker said of everything a stage loaded. */
export interface LoadedStage {
  readonly student: LoadedRole;
  readonly teacher: LoadedRole | null;
  /** Trained parameters of each critic. */
  readonly critics: Readonly<Record<string, number>>;
  readonly datasets: Readonly<Record<string, LoadedData>>;
}

/** Rows of each dataset. */
export const rowsOf = ({ datasets }: LoadedStage): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(datasets).map(([name, data]) => [name, data.rows]));

/** All parameters of the roles, and the trained ones of each critic. */
export function parametersOf({ student, teacher, critics }: LoadedStage): Readonly<Record<string, number>> {
  return {
    student: student.parameters,
    ...(teacher === null ? {} : { teacher: teacher.parameters }),
    ...Object.fromEntries(Object.entries(critics).map(([name, count]) => [`critic:${name}`, count])),
  };
}

/** What a user should know of what was loaded: engine fallbacks, lines skipped, rows cut. */
export function notesOn({ student, teacher, datasets }: LoadedStage): readonly string[] {
  const ofData = Object.entries(datasets).flatMap(([name, data]) => [
    ...(data.bad_lines > 0 ? [`dataset ${name}: ${data.bad_lines} bad lines skipped`] : []),
    ...(data.cut_prompts + data.cut_responses > 0
      ? [`dataset ${name}: ${data.cut_prompts} prompts and ${data.cut_responses} responses cut to the limit`]
      : []),
    ...(data.dropped_prompts > 0
      ? [`dataset ${name}: ${data.dropped_prompts} rows left out, their prompts over the limit`]
      : []),
  ]);
  const ofEnds = Object.values(datasets).flatMap(({ notes = [] }) => notes);
  return [...student.notes, ...(teacher?.notes ?? []), ...ofEnds, ...ofData];
}
