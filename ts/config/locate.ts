import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { folderOf } from './compose.js';
import type { ConfigIssue } from './errors.js';
import { locate, mapEntry, mapValues, type Tree } from './tree.js';

const DATA_OR_MODEL_FILE = /\.(jsonl?|parquet|gguf)$/;
const RELATIVE_TO_FILE = /^\.\.?[\\/]/;

/** What a `source` turned out to be: the text to use, and the places looked at when there is no such file. */
interface Located {
  readonly source: string;
  readonly missing: readonly string[];
}

/**
 * Finds the file or folder that a source names. ./ and ../ are looked for beside the config file first, then
 * in the working directory; other relative paths in the working directory only. What is no file there and
 * does not end like one is left as it is: the name of a model or dataset on the hub.
 */
export function locateSource(source: string, beside: string, cwd: string): Located {
  if (/^(builtin|package):/.test(source)) return { source, missing: [] };
  if (source.startsWith('gguf:')) {
    const inner = findFile(source.slice('gguf:'.length), beside, cwd, true);
    return { ...inner, source: `gguf:${inner.source}` };
  }
  return findFile(source, beside, cwd, source.startsWith('/') || DATA_OR_MODEL_FILE.test(source));
}

function findFile(path: string, beside: string, cwd: string, mustExist: boolean): Located {
  const dotted = RELATIVE_TO_FILE.test(path);
  const places = [...new Set((dotted ? [beside, cwd] : [cwd]).map((folder) => resolve(folder, path)))];
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return { source: found, missing: [] };
  return { source: path, missing: dotted || mustExist ? places : [] };
}

/** A configuration whose paths are absolute, and an issue for each file that does not exist. */
export interface WithPaths {
  readonly tree: Tree;
  readonly issues: readonly ConfigIssue[];
}

/** Makes the paths of data and models absolute, so that a run can be resumed from any folder. */
export function resolveSources(run: Tree, cwd: string): WithPaths {
  const issues: ConfigIssue[] = [];
  const file = (path: readonly string[]) => (source: Tree) => {
    if (source.kind !== 'scalar' || typeof source.value !== 'string') return source;
    const located = locateSource(source.value, folderOf(source.at, cwd), cwd);
    if (located.missing.length > 0) {
      const message = `no such file or folder; looked for ${located.missing.join(' and ')}`;
      issues.push({ path: path.join('.'), message, at: locate(run, path) });
    }
    return { ...source, value: located.source };
  };
  const named = (tree: Tree, kind: string) =>
    mapEntry(tree, kind, (all) =>
      mapValues(all, (one, name) => mapEntry(one, 'source', file([kind, name, 'source']))),
    );
  const inStages = mapEntry(named(named(run, 'data'), 'models'), 'stages', (stages) =>
    mapValues(stages, (stage, name) =>
      ['student', 'teacher'].reduce(
        (result, role) =>
          mapEntry(result, role, (model) =>
            mapEntry(model, 'source', file(['stages', name, role, 'source'])),
          ),
        stage,
      ),
    ),
  );
  const tree = mapEntry(inStages, 'worker', (worker) =>
    mapEntry(worker, 'cache_dir', (folder) =>
      folder.kind === 'scalar' && typeof folder.value === 'string'
        ? { ...folder, value: resolve(cwd, folder.value) }
        : folder,
    ),
  );
  return { tree, issues };
}
