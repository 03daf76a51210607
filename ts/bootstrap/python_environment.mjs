import { existsSync, mkdirSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BASE_GROUPS, requirementFiles } from './groups.mjs';
import { checkConsistency, installGroup } from './pip.mjs';
import { runProgram } from './run_program.mjs';
import { SetupError } from './setup_error.mjs';
import { splitArguments } from './split_arguments.mjs';
import { hashFiles, readJson, writeJson } from './stamp.mjs';
import { findPython, probePython, unsupported } from './versions.mjs';

/** @typedef {import('./places.mjs').Places} Places */

/**
 * What is known of the environment; lies inside it.
 *
 * @typedef {object} State
 * @property {boolean} created whether ammd made the environment, and so may remake it
 * @property {string} named AMMD_PYTHON when it was made
 * @property {string} interpreter the real path behind bin/python: another one after a system upgrade
 * @property {string} installing the group being installed; one that stays here was interrupted
 * @property {Record<string, string>} installed hash of the lock file by group
 */

/**
 * The Python environment with exactly the packages of the lock files.
 *
 * @param {Places} places
 * @param {NodeJS.ProcessEnv} env
 * @param {readonly string[]} groups
 * @returns {import('./set_up.mjs').Step & { python: string }}
 */
export function pythonEnvironment(places, env, groups) {
  const python = join(places.environment, 'bin', 'python');
  const named = env.AMMD_PYTHON ?? '';
  const pending = () => {
    const state = readState(places);
    // Groups that the user added once are kept up to date with the rest.
    const kept = Object.keys(state?.installed ?? {});
    return [...new Set([...BASE_GROUPS, ...kept, ...groups])].filter(
      (group) => state?.installed[group] !== lockHash(places, group),
    );
  };
  requirementFiles(places, groups, '.lock');
  return {
    name: 'Python environment',
    python,
    ready: () => isSound(readState(places), python, named) && pending().length === 0,
    run: async () => {
      if (!isSound(readState(places), python, named)) await makeEnvironment(places, python, named);
      const pip = { places, python, extra: splitArguments(env.AMMD_PIP_ARGS ?? '') };
      for (const group of pending()) await install(pip, group);
      checkConsistency(pip);
    },
  };
}

/** @param {Places} places @returns {State | undefined} */
function readState(places) {
  return /** @type {State | undefined} */ (readJson(join(places.environment, 'ammd.json')));
}

/** @param {Places} places @param {State} state */
function writeState(places, state) {
  writeJson(join(places.environment, 'ammd.json'), state);
}

/** @param {Places} places @param {string} group */
function lockHash({ requirements }, group) {
  return hashFiles(requirements, [`${group}.lock`, ...(group === 'torch' ? ['torch-cpu.lock'] : [])]);
}

/**
 * @param {State | undefined} state
 * @param {string} python
 * @param {string} named
 */
function isSound(state, python, named) {
  if (!state || state.installing || !existsSync(python)) return false;
  return state.interpreter === realpathSync(python) && (named === '' || named === state.named);
}

/**
 * Makes the environment, anew if ammd made the one that is there. Another's is taken over if it works: packages are
 * then added to it, and it is never deleted.
 *
 * @param {Places} places
 * @param {string} python
 * @param {string} named
 */
async function makeEnvironment(places, python, named) {
  const { environment, state: folder } = places;
  const before = readState(places);
  if (existsSync(environment) && !before?.created) {
    const probed = before?.installing ? undefined : probePython(python);
    if (!probed || unsupported(probed.version)) {
      throw new SetupError(
        `${environment} is there, was not made by ammd, and cannot be used.`,
        'Move it away, or choose another place with AMMD_VENV=….',
      );
    }
    const interpreter = realpathSync(python);
    return writeState(places, { created: false, named, interpreter, installing: '', installed: {} });
  }
  const base = findPython(named || undefined);
  rmSync(environment, { recursive: true, force: true });
  mkdirSync(environment, { recursive: true });
  const state = { created: true, named, interpreter: '', installing: 'environment', installed: {} };
  writeState(places, state);
  await runProgram(base.path, ['-m', 'venv', environment], {
    cwd: places.root,
    log: join(folder, 'setup.log'),
    what: `Making the Python environment ${environment}`,
    remedy: 'On Debian and Ubuntu, is python3-venv installed? Or name another Python: AMMD_PYTHON=….',
  });
  writeState(places, { ...state, interpreter: realpathSync(python), installing: '' });
}

/**
 * Installs one group. It is noted before, so that an interruption is seen: pip leaves packages half written.
 *
 * @param {import('./pip.mjs').Pip} pip
 * @param {string} group
 */
async function install(pip, group) {
  const { places } = pip;
  const state = readState(places);
  if (!state) throw new SetupError(`${places.environment} was removed meanwhile.`, 'Run the command again.');
  writeState(places, { ...state, installing: group });
  await installGroup(pip, group);
  const installed = { ...state.installed, [group]: lockHash(places, group) };
  writeState(places, { ...state, installing: '', installed });
}
