import { dirname, resolve } from 'node:path';
import { configError, type Location } from './errors.js';
import { type ConfigKind, findConfig, readTree } from './files.js';
import { merge, writtenOut } from './merge.js';
import { parseOverrides } from './overrides.js';
import { child, type MapTree, mapEntry, mapTree, mapValues, type Tree, without } from './tree.js';

/** A configuration put together from its files, and their absolute paths in the order read. */
export interface Composed {
  readonly tree: Tree;
  readonly files: readonly string[];
}

/** Keys that exist only while files are put together; the resolved configuration does not have them. */
export const COMPOSING_KEYS = ['extends', 'stage_defaults', 'data_defaults'] as const;

interface Reader {
  readonly cwd: string;
  readonly files: string[];
}

/**
 * Folder that ./ and ../ of a value are relative to: that of its file, or the working directory for --set.
 */
export function folderOf(at: Location, cwd: string): string {
  return at.line === null ? cwd : dirname(resolve(cwd, at.file));
}

/** Lays `tree` over what it extends, recursively. `trail` has the files on the way, to catch a circle. */
function extend(tree: MapTree, kind: ConfigKind, reader: Reader, trail: readonly string[]): Tree {
  const base = child(tree, 'extends');
  if (base === undefined) return tree;
  if (base.kind === 'scalar' && base.value === null) return without(tree, 'extends');
  if (base.kind !== 'scalar' || typeof base.value !== 'string') {
    throw configError('expected a name or a path', base.at, 'extends');
  }
  const beside = folderOf(base.at, reader.cwd);
  const file = findConfig(kind, base.value, { cwd: reader.cwd, beside, at: base.at, key: 'extends' });
  if (trail.includes(file)) throw configError(`${file} extends itself`, base.at, 'extends');
  return merge(readExtended(file, kind, reader, [...trail, file], base.at), without(tree, 'extends'));
}

function readExtended(
  file: string,
  kind: ConfigKind,
  reader: Reader,
  trail: readonly string[],
  at: Location | null,
): Tree {
  if (!reader.files.includes(file)) reader.files.push(file);
  return extend(readTree(file, reader.cwd, at), kind, reader, trail);
}

/** Lays each entry of the mapping under `key` over the defaults under `defaultsKey`. */
function applyDefaults(run: Tree, key: string, defaultsKey: string): Tree {
  const defaults = child(run, defaultsKey);
  if (defaults === undefined) return run;
  if (defaults.kind !== 'map') throw configError('expected a mapping', defaults.at, defaultsKey);
  const under = (entry: Tree) => (entry.kind === 'map' ? merge(defaults, entry) : entry);
  return mapEntry(run, key, (entries) => mapValues(entries, under));
}

/** `NAME: null` in a mapping of named things takes away what a base file or the defaults put there. */
function dropNulls(tree: Tree): Tree {
  if (tree.kind !== 'map') return tree;
  return mapTree(
    tree.at,
    [...tree.entries].filter(([, { value }]) => value.kind !== 'scalar' || value.value !== null),
  );
}

const dropNullEntries = (tree: Tree, keys: readonly string[]): Tree =>
  keys.reduce((result, key) => mapEntry(result, key, dropNulls), tree);

function inlineMethod(stage: Tree, reader: Reader): Tree {
  return mapEntry(stage, 'method', (given) => {
    const method = writtenOut(given, 'method');
    const whole = method.kind === 'map' ? extend(method, 'methods', reader, []) : method;
    return dropNullEntries(whole, ['sources', 'terms', 'critics']);
  });
}

/**
 * Reads a run configuration and everything it extends, and lays in this order: base files, the file,
 * overrides, then stage and dataset defaults and method files underneath. The result is not checked yet.
 */
export function composeRun(file: string, overrides: readonly string[], cwd: string): Composed {
  const reader: Reader = { cwd, files: [] };
  const written = readExtended(file, 'runs', reader, [file], null);
  const set = parseOverrides(overrides);
  const merged = set === null ? written : merge(written, set);
  const pruned = dropNullEntries(merged, ['stages', 'data', 'models']);
  const defaulted = applyDefaults(applyDefaults(pruned, 'data', 'data_defaults'), 'stages', 'stage_defaults');
  const columned = mapEntry(defaulted, 'data', (data) =>
    mapValues(data, (dataset) => dropNullEntries(dataset, ['fields', 'template_options'])),
  );
  const whole = mapEntry(columned, 'stages', (stages) =>
    mapValues(stages, (stage) => inlineMethod(stage, reader)),
  );
  return { tree: whole.kind === 'map' ? without(whole, ...COMPOSING_KEYS) : whole, files: reader.files };
}

/** Reads a profile with what it extends; `NAME: null` takes away a table, a row, or a model's parameters. */
export function composeProfile(file: string, cwd: string): Composed {
  const reader: Reader = { cwd, files: [] };
  const tree = dropNullEntries(readExtended(file, 'reproduce', reader, [file], null), [
    'tables',
    'parameters',
  ]);
  const tables = (all: Tree) => mapValues(all, (table) => dropNullEntries(table, ['rows']));
  return { tree: mapEntry(tree, 'tables', tables), files: reader.files };
}
