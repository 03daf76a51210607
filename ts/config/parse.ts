import type { z } from 'zod';
import { ConfigError, type ConfigIssue, showLocation } from './errors.js';
import { explainIssues } from './issues.js';
import { type Tree, toValue } from './tree.js';

/** One complaint per place: a wrong key among the defaults would be reported for each stage. */
export function distinct(issues: readonly ConfigIssue[]): readonly ConfigIssue[] {
  const seen = new Map<string, ConfigIssue>();
  for (const issue of issues) {
    const place = issue.at === null || issue.at.line === null ? issue.path : showLocation(issue.at);
    const key = `${place} ${issue.message}`;
    if (!seen.has(key)) seen.set(key, issue);
  }
  return [...seen.values()];
}

/**
 * What a schema makes of a tree.
 *
 * @param others issues already known, told together with the schema's
 * @throws ConfigError with all of them
 */
export function parse<T extends z.ZodType>(
  schema: T,
  tree: Tree,
  others: readonly ConfigIssue[] = [],
): z.output<T> {
  const value = toValue(tree);
  const parsed = schema.safeParse(value);
  const issues = parsed.success ? [] : explainIssues(parsed.error.issues, schema, tree, value);
  const all = [...issues, ...others];
  if (!parsed.success || all.length > 0) throw new ConfigError(distinct(all));
  return parsed.data;
}
