import { configError, type Location } from './errors.js';
import { merge } from './merge.js';
import { mapTree, parseTree, type Tree } from './tree.js';

/** Puts `location` in place of positions inside the text of an override, which nobody wants to hear of. */
function relocate(tree: Tree, at: Location): Tree {
  if (tree.kind === 'list') return { ...tree, at, items: tree.items.map((item) => relocate(item, at)) };
  if (tree.kind === 'scalar') return { ...tree, at };
  const entries = [...tree.entries].map(
    ([key, entry]) => [key, { keyAt: at, value: relocate(entry.value, at) }] as const,
  );
  return mapTree(at, entries);
}

/** Parses `a.b.c=VALUE`, VALUE in YAML, into a tree with the one value in it. */
export function parseOverride(text: string): Tree {
  const at: Location = { file: `--set ${text}`, line: null, column: null };
  const split = text.indexOf('=');
  const keys = text.slice(0, Math.max(split, 0)).trim().split('.');
  if (split < 1 || keys.some((key) => key === '')) {
    throw configError('expected KEY=VALUE, for example stages.ammd.training.steps=10', at);
  }
  let tree = relocate(parseTree(text.slice(split + 1).trim(), at.file), at);
  for (const key of keys.toReversed()) tree = mapTree(at, [[key, { keyAt: at, value: tree }]]);
  return tree;
}

/** The override that puts a value at a path; JSON is YAML. */
export const overrideOf = (path: string, value: unknown): string => `${path}=${JSON.stringify(value)}`;

/** Overrides by path, in order. */
export const overridesOf = (values: Readonly<Record<string, unknown>>, prefix = ''): readonly string[] =>
  Object.entries(values).map(([path, value]) => overrideOf(`${prefix}${path}`, value));

/** All overrides as one tree, later ones over earlier ones; null when there are none. */
export function parseOverrides(texts: readonly string[]): Tree | null {
  return texts.map(parseOverride).reduce<Tree | null>((all, one) => (all ? merge(all, one) : one), null);
}
