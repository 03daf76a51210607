import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { OBJECTIVES } from '../../ts/config/objectives.js';

/** Written from the worker's registry, against which tests/contract/test_objectives.py holds it. */
const FILE = path.resolve('protocol/fixtures/objectives.json');

test('a configuration may say of objectives what the worker’s registry has', () => {
  expect(OBJECTIVES).toEqual(JSON.parse(readFileSync(FILE, 'utf8')));
});
