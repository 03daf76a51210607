// Adds to package-lock.json the packages of other platforms that npm left out.
//
// Some registries serve only the packages of their own platform. npm then writes a lock file without the others'
// optional packages, and `npm ci` refuses it, everywhere. Their versions are known all the same: the package that
// wants them names them exactly. Without this entry's hash npm cannot check such a package, so a lock file written
// with a complete registry is better, and is left as it is.

import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const SYSTEMS = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
];
const PROCESSORS = ['arm', 'arm64', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64'];
const LIBRARIES = { gnu: 'glibc', gnueabihf: 'glibc', musl: 'musl', musleabihf: 'musl' };

/**
 * @typedef {object} LockedPackage
 * @property {string} [version]
 * @property {boolean} [dev]
 * @property {Readonly<Record<string, string>>} [optionalDependencies]
 */

/**
 * Entries for the optional packages that have none, by path in the lock file.
 *
 * @param {Readonly<Record<string, LockedPackage>>} packages `packages` of the lock file
 */
export function missingEntries(packages) {
  const paths = Object.keys(packages);
  /** @type {Record<string, object>} */
  const missing = {};
  for (const { dev, optionalDependencies } of Object.values(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies ?? {})) {
      const path = `node_modules/${name}`;
      const platform = platformOf(name);
      if (!platform || paths.some((other) => other === path || other.endsWith(`/${path}`))) continue;
      missing[path] = { version, ...platform, ...(dev && { dev }), optional: true };
    }
  }
  return missing;
}

/**
 * The platform that a package's name tells, as in `@swc/core-linux-x64-musl`.
 *
 * @param {string} name
 * @returns {{ cpu: string[], libc?: string[], os: string[] } | undefined}
 */
function platformOf(name) {
  const words = name.split('/').at(-1)?.split('-') ?? [];
  const os = words.find((word) => SYSTEMS.includes(word));
  const cpu = words.find((word) => PROCESSORS.includes(word));
  if (!os || !cpu) return undefined;
  const library = Object.entries(LIBRARIES).find(([word]) => words.includes(word))?.[1];
  return { cpu: [cpu], ...(library && { libc: [library] }), os: [os] };
}

/** @param {string} file */
function complete(file) {
  const lock = JSON.parse(readFileSync(file, 'utf8'));
  const missing = missingEntries(lock.packages);
  const entries = Object.entries({ ...lock.packages, ...missing }).sort(([a], [b]) =>
    a.localeCompare(b, 'en'),
  );
  writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(entries) }, null, 2)}\n`);
  process.stdout.write(`${Object.keys(missing).length} packages of other platforms added\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  complete(resolve(fileURLToPath(import.meta.url), '../../../package-lock.json'));
}
