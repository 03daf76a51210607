import { expect, test } from '@jest/globals';
import { haveSameRows } from '../../../ts/config/same_rows.js';

test.each([
  ['again', true],
  ['validation', false],
  ['other', false],
])('rows of one are those of %s: %s', (name, same) => {
  const data = {
    one: { source: 'folder', split: 'test' },
    again: { source: 'folder', split: 'test', limit: 5 },
    validation: { source: 'folder', split: 'validation' },
    other: { source: 'elsewhere', split: 'test' },
  } as const;
  expect(haveSameRows(data, 'one', name)).toBe(same);
});
