import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runProgram } from './run_program.mjs';
import { SetupError } from './setup_error.mjs';

/**
 * How pip is called.
 *
 * @typedef {object} Pip
 * @property {import('./places.mjs').Places} places
 * @property {string} python interpreter of the environment
 * @property {readonly string[]} extra the user's own arguments
 */

// What pip says of a package that its sources lack, and where a constraint of the user's names it (PIP_CONSTRAINT, as
// NVIDIA's containers set it for torch).
const NOT_OFFERED = /No matching distribution|ResolutionImpossible/;
const RETRY = 'Check that pip reaches its registry and that the disk has room, then run the command again.';
// Isolated: a package on the user's PYTHONPATH would count as installed, and be missing wherever that is not set.
const PIP = ['-I', '-m', 'pip'];
const INSTALL = [...PIP, 'install', '--no-input', '--disable-pip-version-check', '--no-deps'];

/**
 * Installs one group of packages, every file checked against its hash.
 *
 * @param {Pip} pip
 * @param {string} group
 * @returns {Promise<void>}
 */
export async function installGroup(pip, group) {
  const { places, python, extra } = pip;
  const name = group === 'torch' && isCpuTorchOffered(pip) ? 'torch-cpu' : group;
  const lock = join(places.requirements, `${name}.lock`);
  if (group === 'cuda' && !torchWants(pip, lock)) return;
  // What is published only as source is built with the back end of build.lock, not with one fetched for it.
  const isolation = group === 'build' ? [] : ['--no-build-isolation'];
  await runProgram(python, [...INSTALL, '--require-hashes', ...isolation, '-r', lock, ...extra], {
    cwd: places.root,
    log: join(places.state, 'setup.log'),
    what: `Installing Python packages (${basename(lock)})`,
    remedy: RETRY,
  });
}

/**
 * Whether pip's sources hold a CPU-only wheel of the pinned torch. It has to be asked for by its full version: among
 * files that a lock allows, pip prefers one whose hash it knows beforehand, which for a folder of wheels it does not.
 *
 * @param {Pip} pip
 */
function isCpuTorchOffered({ places, python, extra }) {
  const [pin = ''] = pinsOf(places, 'torch-cpu');
  const question = ['--dry-run', '--ignore-installed', '--quiet', '--use-feature=fast-deps', pin, ...extra];
  const { status, stderr } = spawnSync(python, [...INSTALL, ...question], { encoding: 'utf8' });
  if (status === 0) return true;
  if (NOT_OFFERED.test(stderr)) return false;
  throw new SetupError(`pip cannot look for packages:\n${stderr.trimEnd()}`, RETRY);
}

/**
 * Whether the torch that got installed is a build that needs packages of `lock`: the CPU-only ones need none.
 *
 * @param {Pip} pip
 * @param {string} lock
 */
function torchWants({ places, python }, lock) {
  const args = [join(places.requirements, 'installed.py'), 'torch-wants', lock];
  const { status, stdout, stderr } = spawnSync(python, args, { encoding: 'utf8' });
  if (status !== 0) throw new SetupError(`The requirements of torch cannot be read:\n${stderr}`, RETRY);
  return stdout !== '';
}

/**
 * `pip check`, without what was left out on purpose: the requirements of optional groups.
 *
 * @param {Pip} pip
 * @throws {SetupError} when packages of the other groups do not fit together
 */
export function checkConsistency({ places, python }) {
  const { stdout, stderr, status } = spawnSync(python, [...PIP, 'check'], { encoding: 'utf8' });
  if (status === 0) return;
  const pins = ['torch', 'runtime', 'cuda', 'dev'].flatMap((group) => pinsOf(places, group));
  const ours = new Set(pins.map((pin) => pin.split('==')[0]));
  const broken = stdout.split('\n').filter((line) => ours.has(line.split(' ')[0]?.replaceAll('_', '-')));
  if (broken.length > 0) {
    throw new SetupError(
      `The Python packages do not fit together:\n${broken.join('\n')}${stderr}`,
      `Remove ${places.environment} and run the command again.`,
    );
  }
}

/**
 * @param {import('./places.mjs').Places} places
 * @param {string} group
 * @returns {string[]} e.g. `torch==2.13.0`
 */
function pinsOf({ requirements }, group) {
  const lock = readFileSync(join(requirements, `${group}.lock`), 'utf8');
  return [...lock.matchAll(/^[\w.-]+==\S+/gm)].map(([pin]) => pin);
}
