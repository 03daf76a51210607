import { interpreterIn, interpreterNamed, isReady } from '../../bootstrap/environment_state.mjs';
import { findPlaces } from '../../bootstrap/places.mjs';
import { packageRoot } from '../../config/files.js';
import { RunError } from '../errors.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The Python that workers are started with: AMMD_WORKER_PYTHON, which the `ammd` command sets; else the environment that
 * the set-up works with (AMMD_PYTHON_ENV, AMMD_VENV, or its default place). Scripts come here without the set-up, so it
 * may not have been made.
 *
 * @throws RunError `python_missing`.
 */
export function workerPython(env: Environment = process.env, root = packageRoot()): string {
  if (env.AMMD_WORKER_PYTHON) return env.AMMD_WORKER_PYTHON;
  if (env.AMMD_PYTHON_ENV) return interpreterNamed(env.AMMD_PYTHON_ENV);
  const places = findPlaces(root, env);
  if (isReady(places, env)) return interpreterIn(places);
  throw new RunError(
    'python_missing',
    `the worker's Python environment is not set up, or not for this version (${places.environment})`,
    {
      hint: 'set it up with: npx ammd setup; or name a Python that has its packages: AMMD_WORKER_PYTHON=/path/to/python',
    },
  );
}
