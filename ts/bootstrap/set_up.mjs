import { join } from 'node:path';
import { build } from './build.mjs';
import { checkExisting } from './existing_environment.mjs';
import { nodeModules } from './node_modules.mjs';
import { pythonEnvironment } from './python_environment.mjs';
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
 * Does what is missing. When nothing is, only stamps are compared (a fraction of a second).
 *
 * @param {import('./places.mjs').Places} places
 * @param {NodeJS.ProcessEnv} env
 * @param {readonly string[]} groups Python packages wanted beyond those the worker needs
 * @returns {Promise<string>} the Python interpreter of the worker
 */
export async function setUp(places, env, groups) {
  const steps = [nodeModules(places), build(places)];
  const existing = env.AMMD_PYTHON_ENV;
  let python = existing && checkExisting(places, existing, groups);
  if (!python) {
    const environment = pythonEnvironment(places, env, groups);
    steps.splice(1, 0, environment);
    python = environment.python;
  }
  await runMissing(steps, join(places.state, 'setup.lock'));
  return python;
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
