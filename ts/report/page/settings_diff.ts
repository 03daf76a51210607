import { cell, column, NONE, type Table } from '../formats/table.js';
import { leavesOf } from './leaves.js';

export interface Settings {
  readonly label: string;
  /** A JSON value. */
  readonly value: unknown;
}

/** Keys in which settings differ, a row each. Undefined where they do not. */
export function settingsDiff(all: readonly Settings[]): Table | undefined {
  const leaves = all.map(({ value }) => new Map(leavesOf(value)));
  const paths = [...new Set(leaves.flatMap((own) => [...own.keys()]))];
  const differing = paths.filter((path) => new Set(leaves.map((own) => own.get(path))).size > 1);
  if (differing.length === 0) return undefined;
  return {
    title: 'Settings that differ',
    columns: [column('key'), ...all.map(({ label }) => column(label))],
    rows: differing.map((path) => [
      cell(path),
      ...leaves.map((own) => {
        const text = own.get(path);
        return text === undefined ? NONE : cell(text);
      }),
    ]),
    note: '–: the key is not there.',
  };
}
