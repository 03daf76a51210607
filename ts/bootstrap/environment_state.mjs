import { existsSync, realpathSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BASE_GROUPS } from './groups.mjs';
import { hashFiles, readJson, writeJson } from './stamp.mjs';

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

/** @param {Places} places @returns {State | undefined} */
export function readState(places) {
  return /** @type {State | undefined} */ (readJson(join(places.environment, 'ammd.json')));
}

/** @param {Places} places @param {State} state */
export function writeState(places, state) {
  writeJson(join(places.environment, 'ammd.json'), state);
}

/** @param {Places} places */
export function interpreterIn({ environment }) {
  return join(environment, 'bin', 'python');
}

/**
 * The interpreter of an environment that the user keeps.
 *
 * @param {string} named its folder, or its interpreter
 */
export function interpreterNamed(named) {
  const path = resolve(named);
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory();
  return isFolder ? join(path, 'bin', 'python') : path;
}

/** @param {Places} places @param {string} group */
export function lockHash({ requirements }, group) {
  return hashFiles(requirements, [`${group}.lock`, ...(group === 'torch' ? ['torch-cpu.lock'] : [])]);
}

/**
 * Whether the environment was made to its end with the Python that is wanted and is still there.
 *
 * @param {Places} places
 * @param {string} named AMMD_PYTHON, or nothing
 */
export function isSound(places, named) {
  const state = readState(places);
  const python = interpreterIn(places);
  if (!state || state.installing || !existsSync(python)) return false;
  return state.interpreter === realpathSync(python) && (named === '' || named === state.named);
}

/**
 * Groups of packages that the environment lacks, or has as another version of ammd wants them. Groups that the user
 * added once are kept up to date with the rest.
 *
 * @param {Places} places
 * @param {readonly string[]} groups wanted beyond those that every environment has
 * @returns {readonly string[]}
 */
export function pendingGroups(places, groups) {
  const installed = readState(places)?.installed ?? {};
  return [...new Set([...BASE_GROUPS, ...Object.keys(installed), ...groups])].filter(
    (group) => installed[group] !== lockHash(places, group),
  );
}

/**
 * Whether everything is installed; reads stamps, starts no program.
 *
 * @param {Places} places
 * @param {Readonly<Record<string, string | undefined>>} env
 * @param {readonly string[]} [groups]
 */
export function isReady(places, env, groups = []) {
  return isSound(places, env.AMMD_PYTHON ?? '') && pendingGroups(places, groups).length === 0;
}
