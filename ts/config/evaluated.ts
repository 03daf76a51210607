import type { StageDataConfig } from './schema.js';

/** Datasets that a stage is evaluated on, each once: its validation set where it has one, and its test sets. */
export const evaluatedSets = ({ validation, test }: StageDataConfig): readonly string[] => [
  ...new Set([...(validation === null ? [] : [validation]), ...test]),
];
