import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError } from './setup_error.mjs';

/** What every environment gets, in this order: the back end builds, and torch decides what CUDA needs. */
export const BASE_GROUPS = ['build', 'torch', 'runtime', 'cuda'];

/**
 * Files that describe groups of Python packages: `NAME.in` (supported ranges) or `NAME.lock` (pins with hashes).
 *
 * @param {import('./places.mjs').Places} places
 * @param {readonly string[]} groups
 * @param {'.in' | '.lock'} ending
 * @returns {string[]} paths
 * @throws {SetupError} on a group that does not exist
 */
export function requirementFiles({ requirements }, groups, ending) {
  return groups.map((group) => {
    const path = join(requirements, `${group}${ending}`);
    if (/^[\w-]+$/.test(group) && existsSync(path)) return path;
    const known = readdirSync(requirements).flatMap((name) =>
      name.endsWith('.lock') ? [name.slice(0, -5)] : [],
    );
    throw new SetupError(
      `There are no Python packages called "${group}".`,
      `Known: ${known.filter((name) => !BASE_GROUPS.includes(name) && name !== 'torch-cpu').join(', ')}.`,
    );
  });
}
