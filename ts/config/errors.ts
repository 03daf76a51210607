import { AmmdError } from '../common/errors.js';

/** Where a value was written: a file position, or the text of a `--set`. */
export interface Location {
  readonly file: string;
  /** 1-based; null for a `--set`. */
  readonly line: number | null;
  readonly column: number | null;
}

/** One thing wrong with a configuration. `path` is dotted, for example stages.ammd.training.steps. */
export interface ConfigIssue {
  readonly path: string;
  readonly message: string;
  readonly at: Location | null;
}

export function showLocation(at: Location): string {
  return at.line === null ? at.file : `${at.file}:${at.line}:${at.column}`;
}

function showIssue(issue: ConfigIssue): string {
  const place = issue.at === null ? '' : `${showLocation(issue.at)}: `;
  return `${place}${issue.path === '' ? '' : `${issue.path}: `}${issue.message}`;
}

/** Longest list of issues in one message; a wrong file type would otherwise fill the screen. */
const SHOWN = 12;

/** A configuration that cannot be run. The message has every issue, one a line, with place and remedy. */
export class ConfigError extends AmmdError {
  readonly code = 'config';
  readonly issues: readonly ConfigIssue[];

  constructor(issues: readonly ConfigIssue[], options: { readonly cause?: unknown } = {}) {
    const lines = issues.slice(0, SHOWN).map(showIssue);
    if (issues.length > SHOWN) lines.push(`… and ${issues.length - SHOWN} more`);
    super(lines.join('\n'), options);
    this.issues = issues;
  }
}

export function configError(message: string, at: Location | null = null, path = '', cause?: unknown) {
  return new ConfigError([{ path, message, at }], cause === undefined ? {} : { cause });
}
