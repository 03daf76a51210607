import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configError, type Location } from './errors.js';
import { suggestion } from './nearest.js';
import { parseTree, type Tree } from './tree.js';

/** The folder of this package, in a clone as well as when installed; it holds configs/. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw configError('the package has no package.json; install it again');
    folder = parent;
  }
  return folder;
}

/** Path as a person would type it: relative to the working directory when it is inside. */
export function showPath(path: string, cwd: string = process.cwd()): string {
  const short = relative(cwd, path);
  return short === '' || short.startsWith('..') || isAbsolute(short) ? path : short;
}

/** Folders of configs/ with files to name. */
export type ConfigKind = 'runs' | 'methods' | 'reproduce' | 'sweeps';

const KINDS: Readonly<Record<ConfigKind, string>> = {
  runs: 'run configuration',
  methods: 'method',
  reproduce: 'profile',
  sweeps: 'sweep',
};

/** Names of the configurations of a kind that come with the package. */
export function shippedConfigs(kind: ConfigKind): readonly string[] {
  const folder = join(packageRoot(), 'configs', kind);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.slice(0, -'.yaml'.length))
    .sort();
}

const looksLikePath = (reference: string) => /[\\/]|\.ya?ml$/.test(reference);

/**
 * File of a configuration given by the name of a shipped one or by path.
 *
 * @param beside - folder that paths beginning with ./ or ../ are relative to; others are relative to `cwd`
 * @throws ConfigError with the nearest shipped name
 */
export function findConfig(
  kind: ConfigKind,
  reference: string,
  options: {
    readonly cwd: string;
    readonly beside: string;
    readonly at: Location | null;
    readonly key: string;
  },
): string {
  const { cwd, beside, at, key } = options;
  if (looksLikePath(reference)) {
    const file = resolve(/^\.\.?[\\/]/.test(reference) ? beside : cwd, reference);
    if (existsSync(file)) return file;
    throw configError(`no file ${file}`, at, key);
  }
  const shipped = join(packageRoot(), 'configs', kind, `${reference}.yaml`);
  if (existsSync(shipped)) return shipped;
  const known = suggestion(reference, shippedConfigs(kind));
  throw configError(`unknown ${KINDS[kind]} "${reference}"${known} (a file is given by its path)`, at, key);
}

/** Reads a file into a tree whose top is a mapping. */
export function readTree(file: string, cwd: string, at: Location | null = null): Tree & { kind: 'map' } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw configError(`cannot read ${file}`, at, '', cause);
  }
  const tree = parseTree(text, showPath(file, cwd));
  if (tree.kind !== 'map') throw configError('expected a mapping (key: value lines)', tree.at);
  return tree;
}
