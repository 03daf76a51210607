import { describe, expect, test } from '@jest/globals';
import { resolveConfig } from '../../../../ts/config/resolve.js';
import { RUN, workspace } from '../workspace.js';

/** Warnings of the small run with these two datasets, in a folder with two files of rows. */
function warningsOf(train: string, check: string, ...overrides: readonly string[]): readonly string[] {
  const row = '{"instruction": "x", "output": "y"}\n';
  const folder = workspace({ 'run.yaml': RUN, 'a.jsonl': row, 'b.jsonl': row });
  const data = [`data.train={${train}}`, `data.check={${check}}`];
  return resolveConfig('run.yaml', [...data, ...overrides], folder).warnings;
}

const KEPT = 'source: a.jsonl, split: validation, validation_fraction: 0.05';

describe('rows that are kept for validation and trained on are told, once', () => {
  test.each([
    [
      'source: a.jsonl',
      KEPT,
      'data.train.validation_fraction: rows of "check" are trained on: it divides the same source with ' +
        'validation_fraction 0.05, and this has 0; give both the same validation_fraction and seed',
    ],
    [
      'source: ./a.jsonl, validation_fraction: 0.01',
      KEPT,
      'data.train.validation_fraction: rows of "check" are trained on',
    ],
    [
      'source: a.jsonl, validation_fraction: 0.05, seed: 3',
      KEPT,
      'data.train.seed: rows of "check" are trained on: it divides the same source with seed 0, and this has 3',
    ],
    [
      'source: owner/name, split: all',
      'source: owner/name, split: all/validation, validation_fraction: 0.1',
      'data.train.validation_fraction: rows of "check" are trained on',
    ],
    [
      'source: owner/name',
      'source: owner/name, split: validation, validation_fraction: 0.1',
      'data.train.validation_fraction: rows of "check" are trained on',
    ],
  ])('%s beside %s', (train, check, warning) => {
    expect(warningsOf(train, check)).toEqual([expect.stringContaining(warning)]);
  });

  test('also of a part with data of its own, and of a test set', () => {
    const own = ['data.corpus={source: a.jsonl}', 'stages.student.method.sources.off.data=corpus'];
    const tested = ['stage_defaults.data={validation: null, test: [check]}'];
    expect(warningsOf('source: b.jsonl', KEPT, ...own, ...tested)).toEqual([
      expect.stringContaining('data.corpus.validation_fraction: rows of "check" are trained on'),
    ]);
  });
});

test.each([
  ['source: a.jsonl, validation_fraction: 0.05', KEPT],
  ['source: a.jsonl, validation_fraction: 0.1', KEPT], // leaves more out than is kept
  ['source: b.jsonl', KEPT],
  ['source: owner/name', 'source: owner/name, split: validation'], // the hub's own split
  ['source: owner/name, split: other', 'source: owner/name, split: validation, validation_fraction: 0.1'],
  [
    'source: owner/name, split: all/train, validation_fraction: 0.1',
    'source: owner/name, split: all/validation, validation_fraction: 0.1',
  ],
])('nothing is told of %s beside %s', (train, check) => {
  expect(warningsOf(train, check)).toEqual([]);
});
