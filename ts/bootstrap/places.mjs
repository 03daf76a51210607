import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { hashFiles } from './stamp.mjs';

/**
 * Where things are. In an installed package (prebuilt: no tsconfig.json) nothing is written beside the code.
 *
 * @typedef {object} Places
 * @property {string} root folder of package.json
 * @property {boolean} prebuilt whether `dist` was shipped, so that there is nothing to build
 * @property {string} requirements folder of the Python lock files
 * @property {string} environment the Python environment that ammd makes
 * @property {string} state folder of the set-up's lock and log
 * @property {string} main the command-line program
 */

/**
 * A clone keeps its environment in itself. Installed packages share a folder, where the environment is named after the
 * Python packages in it: versions that need other packages stand side by side.
 *
 * @param {string} root
 * @param {Readonly<Record<string, string | undefined>>} env
 * @returns {Places}
 */
export function findPlaces(root, env) {
  const prebuilt = !existsSync(join(root, 'tsconfig.json'));
  const requirements = join(root, 'py_worker', 'requirements');
  const environment = env.AMMD_VENV
    ? resolve(env.AMMD_VENV)
    : prebuilt
      ? join(dataFolder(env), 'environments', packagesName(requirements))
      : join(root, '.venv');
  return {
    root,
    prebuilt,
    requirements,
    environment,
    // An installed package has it beside the environment, so that all who would change that wait for each other.
    state: prebuilt ? `${environment}.setup` : join(root, '.ammd'),
    main: join(root, 'dist', 'ts', 'cli', 'main.js'),
  };
}

/** @param {Readonly<Record<string, string | undefined>>} env */
function dataFolder(env) {
  return join(env.XDG_DATA_HOME || join(env.HOME || homedir(), '.local', 'share'), 'ammd');
}

/** @param {string} requirements */
function packagesName(requirements) {
  return hashFiles(requirements, ['.'], (file) => file.endsWith('.lock')).slice(0, 12);
}
