import type { z } from 'zod';
import { COMPOSING_KEYS } from './compose.js';
import type { ConfigIssue } from './errors.js';
import { nearest, suggestion } from './nearest.js';
import { describe, isNamed, keysOf, type Shape, shapesAt } from './shape.js';
import { locate, type Tree } from './tree.js';

type Issue = z.core.$ZodIssue;

/**
 * The branch of a union that the writer most likely meant: the one with the fewest complaints, each unknown
 * key counting as one, and a branch that wants another kind of value altogether coming last.
 */
function likelyBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] {
  const cost = (issues: readonly Issue[]) =>
    issues.reduce((sum, issue) => {
      if (issue.path.length === 0 && issue.code === 'invalid_type') return sum + 1000;
      return sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 1);
    }, 0);
  return branches.reduce((best, branch) => (cost(branch) < cost(best) ? branch : best));
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (here, key) => (typeof here === 'object' && here !== null ? Reflect.get(here, key) : undefined),
    value,
  );
}

function show(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** The alternatives that can have complained of a key: they do not have it, and are of the `kind` given. */
function meant(alternatives: readonly Shape[], unknown: string, given: unknown): readonly Shape[] {
  const kind = valueAt(given, ['kind']);
  return alternatives.filter((alternative) => {
    const own = shapesAt(alternative.schema, ['kind'])[0]?.schema._zod.def;
    if (keysOf([alternative]).includes(unknown)) return false;
    return own?.type !== 'literal' || kind === undefined || own.values.some((value) => value === kind);
  });
}

/** Another entry that was meant, where an override makes an incomplete one: `stages.amd.training.steps=10`. */
function meantEntry(schema: z.core.$ZodType, value: unknown, path: readonly PropertyKey[]): string {
  const [mapping, own] = [path.slice(0, -2), String(path.at(-2))];
  if (path.length < 2 || !isNamed(shapesAt(schema, mapping))) return '';
  const others = Object.keys(valueAt(value, mapping) ?? {}).filter((name) => name !== own);
  const close = nearest(own, others);
  return close === null ? '' : `; did you mean "${[...mapping, close].join('.')}"?`;
}

/** Turns a schema's complaints into issues with place, what is allowed, and the nearest known key. */
export function explainIssues(
  issues: readonly Issue[],
  schema: z.core.$ZodType,
  tree: Tree,
  value: unknown,
): readonly ConfigIssue[] {
  const one = (issue: Issue, parent: readonly PropertyKey[]): readonly ConfigIssue[] => {
    const path = [...parent, ...issue.path];
    const dotted = path.join('.');
    if (issue.code === 'unrecognized_keys') {
      const composing = path.length === 0 ? COMPOSING_KEYS : [];
      const known = (key: string) => keysOf(meant(shapesAt(schema, path), key, valueAt(value, path)));
      return issue.keys.map((key) => ({
        path: [...path, key].join('.'),
        message: `unknown key${suggestion(key, [...known(key), ...composing])}`,
        at: locate(tree, [...path, key], 'key'),
      }));
    }
    if (issue.code === 'invalid_union' && issue.errors.length > 0) {
      const branch = likelyBranch(issue.errors);
      const wrongKind = branch.some((inner) => inner.path.length === 0 && inner.code === 'invalid_type');
      if (!wrongKind) return branch.flatMap((inner) => one(inner, path));
    }
    const at = locate(tree, path, issue.code === 'invalid_key' ? 'key' : 'value');
    const said = message(issue, valueAt(value, path), path);
    const overridden = said.startsWith('missing;') && at?.file?.startsWith('--set ') === true;
    return [{ path: dotted, message: overridden ? said + meantEntry(schema, value, path) : said, at }];
  };
  const message = (issue: Issue, given: unknown, path: readonly PropertyKey[]): string => {
    const allowed = describe(shapesAt(schema, path));
    if (given === undefined && issue.code !== 'custom') return `missing; expected ${allowed}`;
    switch (issue.code) {
      case 'invalid_key':
        return issue.issues[0]?.message ?? issue.message;
      case 'custom':
      case 'invalid_format':
        return `${issue.message}${given === undefined || given === null ? '' : `, got ${show(given)}`}`;
      default: {
        // A schema's own sentence is kept; the library's are replaced by what is allowed.
        const own = !/^(Invalid|Too|Unrecognized)/.test(issue.message);
        return `${own ? issue.message : `expected ${allowed}`}, got ${show(given)}`;
      }
    }
  };
  return issues.flatMap((issue) => one(issue, []));
}
