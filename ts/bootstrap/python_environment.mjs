import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  interpreterIn,
  isReady,
  isSound,
  lockHash,
  pendingGroups,
  readState,
  writeState,
} from './environment_state.mjs';
import { requirementFiles } from './groups.mjs';
import { checkConsistency, installGroup } from './pip.mjs';
import { runProgram } from './run_program.mjs';
import { SetupError } from './setup_error.mjs';
import { splitArguments } from './split_arguments.mjs';
import { findPython, probePython, unsupported } from './versions.mjs';

/** @typedef {import('./places.mjs').Places} Places */

/**
 * The Python environment with exactly the packages of the lock files.
 *
 * @param {Places} places
 * @param {NodeJS.ProcessEnv} env
 * @param {readonly string[]} groups
 * @param {boolean} [mayReplace] whether packages that another version of ammd put there may be replaced
 * @returns {import('./set_up.mjs').Step & { python: string }}
 */
export function pythonEnvironment(places, env, groups, mayReplace = true) {
  const python = interpreterIn(places);
  const named = env.AMMD_PYTHON ?? '';
  requirementFiles(places, groups, '.lock');
  return {
    name: 'Python environment',
    python,
    ready: () => isReady(places, env, groups),
    run: async () => {
      if (!isSound(places, named)) await makeEnvironment(places, python, named);
      const pending = pendingGroups(places, groups);
      if (!mayReplace) refuseReplacing(places, pending);
      const pip = { places, python, extra: splitArguments(env.AMMD_PIP_ARGS ?? '') };
      for (const group of pending) await install(pip, group);
      checkConsistency(pip);
    },
  };
}

/**
 * Two versions of ammd that share an environment would otherwise replace each other's packages in turn, also under a
 * run that goes on.
 *
 * @param {Places} places
 * @param {readonly string[]} pending
 */
function refuseReplacing(places, pending) {
  const installed = readState(places)?.installed ?? {};
  const others = pending.filter((group) => installed[group] !== undefined);
  if (others.length === 0) return;
  throw new SetupError(
    `${places.environment} has the Python packages of another version of ammd (${others.join(', ')}).`,
    'Bring it to this version with: npx ammd setup. Or give this version its own place: AMMD_VENV=….',
  );
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
  if (isInUse(environment) && !before?.created) {
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

/** @param {string} folder */
function isInUse(folder) {
  return existsSync(folder) && readdirSync(folder).length > 0;
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
