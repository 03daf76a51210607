import { expect, test } from '@jest/globals';
import * as ammd from '../../ts/index.js';

test('what the package exports to scripts; a name that goes breaks them', () => {
  expect(Object.keys(ammd).sort()).toEqual([
    'AmmdError',
    'ConfigError',
    'RunError',
    'RunFolder',
    'WireError',
    'WorkerFailure',
    'buildReport',
    'configToYaml',
    'resolveConfig',
    'resumeRun',
    'startRun',
  ]);
});

test('a script resolves a shipped configuration and reads what it says', () => {
  const { config, hash } = ammd.resolveConfig('quickstart', ['stages.ammd.training.steps=3']);
  expect(config.stages.ammd?.training.steps).toBe(3);
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
});
