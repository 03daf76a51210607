import { join } from 'node:path';
import { types } from 'node:util';
import { build } from './build.mjs';
import { checkExisting } from './existing_environment.mjs';
import { nodeModules } from './node_modules.mjs';
import { pythonEnvironment } from './python_environment.mjs';
import { SetupError } from './setup_error.mjs';
import { withSetupLock } from './setup_lock.mjs';

/**
 * One part of the set-up.
 *
 * @typedef {object} Step
 * @property {string} name
 * @property {() => boolean} ready whether there is nothing to do; reads stamps, starts no program
 * @property {() => Promise<void>} run does it; safe to repeat after an interruption
 */

/**
 * Does what is missing for a command. When nothing is, only stamps are compared (a fraction of a second).
 *
 * @param {import('./places.mjs').Places} places
 * @param {NodeJS.ProcessEnv} env
 * @param {Pick<import('./command.mjs').Command, 'kind' | 'groups' | 'usesPython'>} command
 * @returns {Promise<string | undefined>} the Python interpreter of the worker, where the command may start one
 */
export async function setUp(places, env, { kind, groups, usesPython }) {
  const steps = [nodeModules(places), build(places)];
  const existing = env.AMMD_PYTHON_ENV;
  /** @type {string | undefined} */
  let python;
  if (usesPython && existing) python = checkExisting(places, existing, groups);
  else if (usesPython) {
    const environment = pythonEnvironment(places, env, groups, kind === 'setup' || !places.prebuilt);
    steps.splice(1, 0, environment);
    python = environment.python;
  }
  try {
    await runMissing(steps, join(places.state, 'setup.lock'));
  } catch (error) {
    throw unwritable(error, places);
  }
  return python;
}

/**
 * A disk that is full, read-only or somebody else's, told with what can be done.
 *
 * @param {unknown} error
 * @param {import('./places.mjs').Places} places
 */
function unwritable(error, { environment }) {
  if (!types.isNativeError(error) || !('syscall' in error)) return error;
  return new SetupError(
    `The set-up cannot write: ${error.message}.`,
    `The Python environment is made in ${environment}. Choose another place with AMMD_VENV=….`,
  );
}

/**
 * @param {readonly Step[]} steps in order
 * @param {string} lock
 * @param {(line: string) => void} [say]
 */
export async function runMissing(steps, lock, say = (line) => process.stderr.write(`ammd: ${line}\n`)) {
  if (steps.every((step) => step.ready())) return;
  const work = async () => {
    for (const step of steps) {
      if (step.ready()) continue;
      say(`setting up: ${step.name} …`);
      const start = performance.now();
      await step.run();
      say(`${step.name}: done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
    }
  };
  await withSetupLock(lock, work, (holder) => say(`waiting for another set-up to end (${holder})`));
}
