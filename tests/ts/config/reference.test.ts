import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, jest, test } from '@jest/globals';
import { packageRoot } from '../../../ts/config/files.js';
import { main, reference } from '../../../ts/config/reference.js';
import { workspace } from './workspace.js';

afterEach(() => {
  jest.restoreAllMocks();
});

test('the committed reference agrees with the schemas', () => {
  expect(readFileSync(join(packageRoot(), 'configs/REFERENCE.md'), 'utf8')).toBe(reference());
});

test('every key has a meaning', () => {
  const rows = reference()
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  expect(rows.length).toBeGreaterThan(80);
  for (const row of rows) expect(row).not.toMatch(/\|\s+\|$/);
});

test('types, ranges, defaults and links are written out', () => {
  const text = reference();
  expect(text).toContain('| `training.batch_size` | whole number from 1 to 65536 | `32` | Rows of a batch');
  expect(text).toContain('| `training.lr` | [schedule](#schedule) | required |');
  expect(text).toContain('| `data` | mapping of names to [dataset](#dataset) | required |');
  expect(text).toContain('| `sources.NAME.responses_seed` | whole number from 0, or null | absent |');
  expect(text).toContain('| `on_policy_weight` | [schedule](#schedule) | `0.5` |');
  expect(text).toContain('| `critics.NAME.features` | teacher \\| student | `"teacher"` |');
});

test('main writes the file, and --check fails once it differs', () => {
  const folder = workspace({ 'configs/REFERENCE.md': 'old' });
  const said = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  expect(main(['--check'], folder)).toBe(1);
  expect(said.mock.calls[0]?.[0]).toContain('run npm run generate');
  expect(main([], folder)).toBe(0);
  expect(main(['--check'], folder)).toBe(0);
});
