import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { LOSSES, SCORES } from '../../ts/config/metrics.js';
import { OBJECTIVES } from '../../ts/config/objectives.js';

/** Written from the worker's registries, against which tests/contract/test_registries.py holds it. */
const FILE = path.resolve('protocol/fixtures/registries.json');

test('a configuration may say of objectives and metrics what the worker’s registries have', () => {
  const written = { scores: SCORES, losses: LOSSES, objectives: OBJECTIVES };
  expect(written).toEqual(JSON.parse(readFileSync(FILE, 'utf8')));
});
