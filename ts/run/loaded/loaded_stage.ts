import type { OperationResult } from '../../wire/protocol.gen.js';

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
  const ofWorker = new Set(Object.values(datasets).flatMap(({ notes = [] }) => notes));
  const ofData = Object.entries(datasets).flatMap(([name, data]) => lossesOf(name, data));
  return [...student.notes, ...(teacher?.notes ?? []), ...ofWorker, ...ofData];
}

/** What a dataset lost on its way from its source. */
export function lossesOf(name: string, data: LoadedData): readonly string[] {
  const { rows, bad_lines, cut_prompts, cut_responses, dropped_prompts, unanswered } = data;
  const found = [
    bad_lines > 0 && `${bad_lines} bad lines skipped`,
    cut_prompts + cut_responses > 0 &&
      `${cut_prompts} prompts and ${cut_responses} responses cut to the limit`,
    dropped_prompts > 0 && `${dropped_prompts} rows left out, their prompts over the limit`,
    unanswered > 0 && `${unanswered} of ${rows} rows are prompts alone, with no answer to learn`,
  ];
  return found.filter((text) => text !== false).map((text) => `dataset ${name}: ${text}`);
}
