import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * SHA-256 of the names and contents of files; it changes when a file changes, appears, moves or goes.
 *
 * @param {string} root
 * @param {readonly string[]} names files or folders, relative to `root`; a missing one counts as such
 * @param {(name: string) => boolean} [wanted] which files of a folder count; all by default
 */
export function hashFiles(root, names, wanted = () => true) {
  const hash = createHash('sha256');
  for (const name of names) {
    for (const file of listFiles(root, name).filter(wanted)) {
      const content = readFileSync(join(root, file));
      hash.update(`${file}\0${content.length}\0`).update(content);
    }
  }
  return hash.digest('hex');
}

/**
 * @param {string} root
 * @param {string} name
 * @returns {string[]} the file itself, or all files below a folder in a fixed order
 */
function listFiles(root, name) {
  const path = join(root, name);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return [];
  if (!stat.isDirectory()) return [name];
  return readdirSync(path)
    .sort()
    .flatMap((child) => listFiles(root, `${name}/${child}`));
}

/**
 * Reads a JSON file; one that is missing or damaged counts as absent.
 *
 * @param {string} path
 * @returns {unknown}
 */
export function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Writes a JSON file so that a reader sees the old or the new one, never a part.
 *
 * @param {string} path
 * @param {unknown} value
 */
export function writeJson(path, value) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(temporary, path);
}
