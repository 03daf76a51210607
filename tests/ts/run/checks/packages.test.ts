import { expect, test } from '@jest/globals';
import { requirePackages } from '../../../../ts/run/checks/packages.js';
import { resolveRun } from '../../config/workspace.js';

const tracked = resolveRun('tracking.wandb={project: p}').config;

test('a package that the configuration needs and the environment lacks is told with its remedy', () => {
  expect(() => requirePackages(tracked, { torch: '2.13.0' })).toThrow(
    expect.objectContaining({
      code: 'package_missing',
      message: expect.stringContaining('tracking.wandb needs the Python package wandb'),
      hint: expect.stringContaining('setup --with wandb'),
    }),
  );
});

test('what is there, or not needed, is not', () => {
  expect(() => requirePackages(tracked, { wandb: '0.31.0' })).not.toThrow();
  expect(() => requirePackages(resolveRun().config, {})).not.toThrow();
});
