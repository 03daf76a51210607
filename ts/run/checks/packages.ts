import type { RunConfig } from '../../config/schema.js';
import { RunError } from '../errors.js';

/**
 * Checks that the worker's environment has the optional packages that a configuration needs.
 *
 * @param packages versions by name, as the worker's hello told.
 * @throws RunError `package_missing`.
 */
export function requirePackages(config: RunConfig, packages: Readonly<Record<string, string>>): void {
  if (config.tracking.wandb === null || packages.wandb !== undefined) return;
  throw new RunError(
    'package_missing',
    "tracking.wandb needs the Python package wandb, which the worker's environment lacks",
    { hint: 'install it with: npx ammd setup --with wandb; or set tracking.wandb to null' },
  );
}
