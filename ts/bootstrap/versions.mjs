import { spawnSync } from 'node:child_process';
import { SetupError } from './setup_error.mjs';

const LOWEST_NODE = [20, 19];
const LOWEST_PYTHON = [3, 11];
const HIGHEST_PYTHON = [3, 14]; // the lock files list wheels up to this one
const CANDIDATES = ['python3.12', 'python3.11', 'python3.13', 'python3.14', 'python3'];

const PROBE = `
import importlib.util, json, sys
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "path": sys.executable,
    "can_make": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
}))`;

/**
 * @typedef {object} Python
 * @property {readonly number[]} version major, minor, micro
 * @property {string} path
 * @property {boolean} can_make whether it can make environments: Debian ships that part apart
 */

/** @param {string} version as in `process.versions.node` */
export function checkNode(version) {
  if (isBelow(version.split('.').map(Number), LOWEST_NODE)) {
    throw new SetupError(
      `Node ${version} is too old: ammd needs ${LOWEST_NODE.join('.')} or newer.`,
      'Install a newer Node from your system or with a version manager, and run the command again.',
    );
  }
}

/**
 * Asks an interpreter what it is.
 *
 * @param {string} program
 * @returns {Python | undefined} undefined when it cannot be run
 */
export function probePython(program) {
  const { status, stdout } = spawnSync(program, ['-c', PROBE], { encoding: 'utf8' });
  return status === 0 ? JSON.parse(stdout) : undefined;
}

/**
 * Finds a Python that ammd supports and that can make environments.
 *
 * @param {string | undefined} named the user's choice (AMMD_PYTHON); otherwise the usual names are tried
 * @param {(program: string) => Python | undefined} [probe]
 * @returns {Python}
 * @throws {SetupError} with what was found and how to get what is needed
 */
export function findPython(named, probe = probePython) {
  /** @type {string[]} */
  const refused = [];
  /** @type {Python | undefined} */
  let withoutVenv;
  for (const program of named ? [named] : CANDIDATES) {
    const python = probe(program);
    const reason = python ? unsupported(python.version) : 'not there';
    if (!python || reason) refused.push(`${program}: ${reason}`);
    else if (python.can_make) return python;
    else withoutVenv ??= python;
  }
  if (withoutVenv) {
    const release = withoutVenv.version.slice(0, 2).join('.');
    throw new SetupError(
      `${withoutVenv.path} (Python ${withoutVenv.version.join('.')}) cannot make environments: its modules venv and ensurepip are missing.`,
      `On Debian and Ubuntu: apt-get install python${release}-venv (or python3-venv).\nOr name another Python (AMMD_PYTHON=…), or an environment that exists (AMMD_PYTHON_ENV=…).`,
    );
  }
  throw new SetupError(
    `Found no Python ${LOWEST_PYTHON.join('.')} to ${HIGHEST_PYTHON.join('.')} (${refused.join('; ')}).`,
    'Install one (on Debian and Ubuntu: apt-get install python3 python3-venv), or name it: AMMD_PYTHON=/path/to/python3.12.',
  );
}

/**
 * @param {readonly number[]} version
 * @returns {string | undefined} why ammd cannot use it
 */
export function unsupported(version) {
  if (isBelow(version, LOWEST_PYTHON)) return `${version.join('.')} is too old`;
  if (isBelow(HIGHEST_PYTHON, version.slice(0, 2)))
    return `${version.join('.')} is newer than the pinned packages`;
  return undefined;
}

/**
 * @param {readonly number[]} version
 * @param {readonly number[]} limit major and minor
 */
function isBelow([major = 0, minor = 0], [limitMajor = 0, limitMinor = 0]) {
  return major < limitMajor || (major === limitMajor && minor < limitMinor);
}
