import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { interpreterNamed } from './environment_state.mjs';
import { requirementFiles } from './groups.mjs';
import { SetupError } from './setup_error.mjs';
import { probePython, unsupported } from './versions.mjs';

/**
 * Checks an environment that the user keeps (AMMD_PYTHON_ENV): its Python's version, and its packages against the
 * ranges in the `.in` files. Nothing in it is changed.
 *
 * @param {import('./places.mjs').Places} places
 * @param {string} named the environment's folder, or its interpreter
 * @param {readonly string[]} groups
 * @returns {string} the interpreter
 * @throws {SetupError} naming what is missing
 */
export function checkExisting(places, named, groups) {
  const python = interpreterNamed(named);
  const probed = probePython(python);
  const reason = probed ? unsupported(probed.version) : 'no Python can be run there';
  if (reason) {
    throw new SetupError(
      `AMMD_PYTHON_ENV=${named}: ${reason}.`,
      'Give the folder of an environment (the one with bin/python in it), or unset it to let ammd make one.',
    );
  }
  const files = requirementFiles(places, ['runtime', ...groups], '.in');
  const checker = join(places.requirements, 'installed.py');
  const { status, stdout, stderr } = spawnSync(python, [checker, 'unmet', ...files], { encoding: 'utf8' });
  if (status !== 0 || stdout !== '') {
    throw new SetupError(
      `The environment AMMD_PYTHON_ENV=${named} lacks what ammd needs:\n${stdout || stderr}`.trimEnd(),
      `Install them there: ${python} -m pip install ${files.map((file) => `-r ${file}`).join(' ')}`,
    );
  }
  return python;
}
