import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { MOST_ROWS } from '../../ts/config/checks/sources.js';
import { ENGINE_CHOICES, ENGINES } from '../../ts/config/engines.js';
import { LOSSES, SCORES } from '../../ts/config/metrics.js';
import { OBJECTIVES } from '../../ts/config/objectives.js';
import { MEMORY_ITEMS } from '../../ts/config/registries.gen.js';

/** Written from the worker's registries, against which tests/contract/test_registries.py holds it. */
const FILE = path.resolve('protocol/fixtures/registries.json');

const read = (file: string) => JSON.parse(readFileSync(file, 'utf8'));

test('the controller knows of objectives, metrics, engines and memory what the worker has', () => {
  const written = {
    scores: SCORES,
    losses: LOSSES,
    objectives: OBJECTIVES,
    engines: ENGINES,
    memory: MEMORY_ITEMS,
  };
  expect(written).toEqual(read(FILE));
});

describe('what a configuration may say is what the protocol takes', () => {
  const { operations } = read(path.resolve('protocol/protocol.json'));

  test('of engines', () => {
    expect(operations.load_role.args.engine.values).toEqual(ENGINE_CHOICES);
  });

  test('of the rows of one rollout', () => {
    expect(operations.generate.args.rows.max).toBe(MOST_ROWS);
    expect(operations.generate.args.sample_ids.max).toBe(MOST_ROWS);
  });
});
