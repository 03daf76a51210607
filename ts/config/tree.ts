import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import { configError, type Location } from './errors.js';

export type Scalar = string | number | boolean | null;

/** YAML data in which every key and value knows where it was written, also after merging several files. */
export type Tree = MapTree | ListTree | ScalarTree;
export interface Entry {
  readonly keyAt: Location;
  readonly value: Tree;
}
export interface MapTree {
  readonly kind: 'map';
  readonly at: Location;
  readonly entries: ReadonlyMap<string, Entry>;
  /** It was written out from a short form, which takes all of the place that it is laid on. */
  readonly whole?: boolean | undefined;
}
export interface ListTree {
  readonly kind: 'list';
  readonly at: Location;
  readonly items: readonly Tree[];
}
export interface ScalarTree {
  readonly kind: 'scalar';
  readonly at: Location;
  readonly value: Scalar;
}

/** Aliases can make a small file expand without end; no real configuration comes near this. */
const MAX_NODES = 100_000;

/** Parses one YAML document. @throws ConfigError at the line and column of a syntax error or repeated key */
export function parseTree(text: string, file: string): Tree {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const locate = (offset: number): Location => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) throw configError(problem.message, locate(problem.pos[0]), '', problem);
  let nodes = 0;

  const convertMap = (node: YAMLMap, at: Location): MapTree => {
    const entries = new Map<string, Entry>();
    for (const { key, value } of node.items) {
      const keyAt = locate((key as Node | null)?.range?.[0] ?? 0);
      if (!isScalar(key) || typeof key.value !== 'string') throw configError('a key must be text', keyAt);
      entries.set(key.value, { keyAt, value: convert(value as Node | null, keyAt) });
    }
    return { kind: 'map', at, entries };
  };
  const convert = (node: Node | null | undefined, parent: Location): Tree => {
    nodes += 1;
    if (nodes > MAX_NODES) throw configError(`more than ${MAX_NODES} values`, parent);
    if (node === null || node === undefined) return { kind: 'scalar', at: parent, value: null };
    const at = node.range ? locate(node.range[0]) : parent;
    if (isAlias(node)) return convert(node.resolve(document), at);
    if (isMap(node)) return convertMap(node, at);
    if (isSeq(node)) {
      return { kind: 'list', at, items: node.items.map((item) => convert(item as Node | null, at)) };
    }
    return { kind: 'scalar', at, value: scalarValue(node, at) };
  };
  return convert(document.contents, { file, line: 1, column: 1 });
}

function scalarValue(node: Node, at: Location): Scalar {
  const value: unknown = isScalar(node) ? node.value : undefined;
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) return value as Scalar;
  throw configError('expected text, a number, true, false or null', at);
}

export function mapTree(at: Location, entries: Iterable<readonly [string, Entry]>): MapTree {
  return { kind: 'map', at, entries: new Map(entries) };
}

export function child(tree: Tree | undefined, key: string): Tree | undefined {
  return tree?.kind === 'map' ? tree.entries.get(key)?.value : undefined;
}

export function without(tree: MapTree, ...keys: readonly string[]): MapTree {
  return mapTree(
    tree.at,
    [...tree.entries].filter(([key]) => !keys.includes(key)),
  );
}

/** Applies `change` to each value of a mapping; another kind of tree is left for the schema to refuse. */
export function mapValues(tree: Tree, change: (value: Tree, key: string) => Tree): Tree {
  if (tree.kind !== 'map') return tree;
  return mapTree(
    tree.at,
    [...tree.entries].map(([key, { keyAt, value }]) => [key, { keyAt, value: change(value, key) }]),
  );
}

/** Applies `change` to the value under `key`, if there is one. */
export function mapEntry(tree: Tree, key: string, change: (value: Tree) => Tree): Tree {
  return mapValues(tree, (value, name) => (name === key ? change(value) : value));
}

export function toValue(tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.value;
  if (tree.kind === 'list') return tree.items.map(toValue);
  return Object.fromEntries([...tree.entries].map(([key, entry]) => [key, toValue(entry.value)]));
}

/** Where the value at a path was written; for a missing one, where its nearest parent was. */
export function locate(tree: Tree, path: readonly PropertyKey[], want: 'key' | 'value' = 'value'): Location {
  let here = tree;
  let at = tree.at;
  for (const key of path) {
    const entry = here.kind === 'map' ? here.entries.get(String(key)) : undefined;
    const next = entry?.value ?? (here.kind === 'list' ? here.items[Number(key)] : undefined);
    if (next === undefined) return at;
    at = entry !== undefined && (want === 'key' || next.kind !== 'scalar') ? entry.keyAt : next.at;
    here = next;
  }
  return at;
}
