import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { problemsOf, resolveRun } from './workspace.js';

interface Field {
  readonly max: number;
}
interface Operation {
  readonly args: Readonly<Record<string, Field>>;
  readonly result: Readonly<Record<string, Field>>;
}
const { operations } = JSON.parse(readFileSync('protocol/protocol.json', 'utf8')) as {
  readonly operations: Readonly<Record<string, Operation>>;
};

const METHOD = 'stages.student.method';
const many = (count: number, entry: (index: number) => string) =>
  `{${Array.from({ length: count }, (_, index) => `x${index}: ${entry(index)}`).join(', ')}}`;

/** A method of so many parts, terms and critics. */
function shaped({ sources = 1, terms = 1, critics = 0 }): string {
  const parts = many(sources, () => `{from: dataset, share: ${1 / sources}}`);
  const objective = many(terms, () => '{objective: forward_kl, part: all}');
  const heads = many(critics, () => '{part: all}');
  return `${METHOD}={extends: null, name: m, sources: ${parts}, terms: ${objective}, critics: ${heads}}`;
}

test.each([
  ['sources', operations.build?.result.response_tokens],
  ['critics', operations.step_critic?.args.updates],
  ['terms', operations.step_student?.args.terms],
])('a method has no more %s than a message holds', (key, field) => {
  const most = field?.max ?? 0;
  const batch = 'stages.student.training.batch_size=64';
  expect(() => resolveRun(batch, shaped({ [key]: most }))).not.toThrow();
  expect(problemsOf(batch, shaped({ [key]: most + 1 }))).toEqual([
    expect.stringContaining(`${METHOD}.${key}: expected at most ${most} entries`),
  ]);
});
