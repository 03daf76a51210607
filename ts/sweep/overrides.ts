import type { ConfigError, ConfigIssue } from '../config/errors.js';
import { merge } from '../config/merge.js';
import { overrideOf, parseOverride } from '../config/overrides.js';
import { sweep } from '../config/schema/sweep.js';
import { child, locate, type MapTree, mapEntry, mapTree, type Tree, without } from '../config/tree.js';

/**
 * One `--set` of the command line laid over a sweep: of a key of the sweep where its first key is one, else of the run,
 * as if it stood last under `set`.
 */
export function withOverride(tree: Tree, text: string): Tree {
  const override = parseOverride(text);
  if (override.kind !== 'map') return tree;
  const [first] = override.entries.keys();
  if (first === 'space') return merge(withoutPaths(tree, override), override);
  if (first !== undefined && first in sweep.shape) return merge(tree, override);
  const path = text.slice(0, text.indexOf('=')).trim();
  const value = path.split('.').reduce<Tree>((here, key) => child(here, key) ?? here, override);
  const { at } = override;
  const inner = mapTree(at, [[path, { keyAt: at, value }]]);
  return merge(tree, mapTree(at, [['set', { keyAt: at, value: inner }]]));
}

/** Dimensions are alternatives: the keys of two must not mix. */
const withoutPaths = (tree: Tree, { entries }: MapTree): Tree =>
  mapEntry(tree, 'space', (space) => {
    const given = entries.get('space')?.value;
    return space.kind === 'map' && given?.kind === 'map' ? without(space, ...given.entries.keys()) : space;
  });

/**
 * An error of a resolved run as one of the sweep: what stems from a setting is told where the sweep's file has it.
 *
 * @param values what was laid over the run under `key` of the sweep
 */
export function relocated(
  error: ConfigError,
  tree: Tree,
  key: 'set' | 'space',
  values: Readonly<Record<string, unknown>>,
  remark: string,
): readonly ConfigIssue[] {
  const places = new Map(
    Object.entries(values).map(([path, value]) => [
      `--set ${overrideOf(path, value)}`,
      locate(tree, [key, path]),
    ]),
  );
  return error.issues.map((issue) => ({
    ...issue,
    message: `${issue.message}${remark}`,
    at: (issue.at === null ? undefined : places.get(issue.at.file)) ?? issue.at,
  }));
}
