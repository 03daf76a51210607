import { KINDS } from './schema/schedule.js';
import { longForm } from './shorthand.js';
import { child, type MapTree, mapTree, type Tree } from './tree.js';

const textAt = (tree: MapTree, key: string): string | undefined => {
  const value = child(tree, key);
  return value?.kind === 'scalar' && typeof value.value === 'string' ? value.value : undefined;
};
const hasText = (tree: MapTree, key: string) => textAt(tree, key) !== undefined;

/**
 * Whether a mapping is another alternative than the one below it, so that keys of the two must not mix: it was
 * a short form, says what it extends (null for nothing), has another `kind` (of schedule), or names a stage in
 * place of a model or the reverse.
 */
function startsAfresh(base: MapTree, over: MapTree): boolean {
  if (over.whole || child(over, 'extends')?.kind === 'scalar') return true;
  const kind = textAt(over, 'kind') ?? '';
  const keys = KINDS.get(kind);
  if (keys !== undefined) {
    const below = textAt(base, 'kind'); // none where it stands in the defaults
    if (below === undefined ? [...base.entries.keys()].some((key) => !keys.has(key)) : below !== kind)
      return true;
  }
  return (
    hasText(over, 'stage') !== hasText(base, 'stage') && (hasText(over, 'stage') || hasText(over, 'source'))
  );
}

/** The value of `key` as the mapping that it is short for, where it is. */
export function writtenOut(tree: Tree, key: string): Tree {
  if (tree.kind !== 'scalar') return tree;
  const { at } = tree;
  const long = longForm(tree.value, key);
  if (long === null) return tree;
  const entries = Object.entries(long).map(
    ([name, value]) => [name, { keyAt: at, value: { kind: 'scalar', at, value } }] as const,
  );
  return { ...mapTree(at, entries), whole: true };
}

/**
 * `over` laid over `base`: mappings, and what is short for one, are merged key by key unless they are alternatives; the
 * rest is replaced.
 */
export function merge(base: Tree, over: Tree): Tree {
  if (base.kind !== 'map' || over.kind !== 'map' || startsAfresh(base, over)) return over;
  const entries = new Map(base.entries);
  for (const [key, entry] of over.entries) {
    const below = base.entries.get(key);
    const value = below === undefined ? entry.value : merge(writtenOut(below.value, key), entry.value);
    entries.set(key, { ...entry, value });
  }
  return { kind: 'map', at: over.at, entries, whole: base.whole };
}
