import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** Where things are. In an installed package (prebuilt: no tsconfig.json) nothing is written beside the code. */
/**
 * @typedef {object} Places
 * @property {string} root folder of package.json
 * @property {boolean} prebuilt whether `dist` was shipped, so that there is nothing to build
 * @property {string} requirements folder of the Python lock files
 * @property {string} environment the Python environment that ammd makes
 * @property {string} state folder of the set-up's lock and log
 * @property {string} main the command-line program
 */

/**
 * @param {string} root
 * @param {Readonly<Record<string, string | undefined>>} env
 * @returns {Places}
 */
export function findPlaces(root, env) {
  const prebuilt = !existsSync(join(root, 'tsconfig.json'));
  const data = join(env.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'ammd');
  return {
    root,
    prebuilt,
    requirements: join(root, 'py_worker', 'requirements'),
    environment: env.AMMD_VENV ? resolve(env.AMMD_VENV) : join(prebuilt ? data : root, '.venv'),
    state: prebuilt ? data : join(root, '.ammd'),
    main: join(root, 'dist', 'ts', 'cli', 'main.js'),
  };
}
