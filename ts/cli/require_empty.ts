import { readdirSync, statSync } from 'node:fs';
import { CliError } from './errors.js';

/** @throws CliError `usage` when there is something that would be overwritten. */
export function requireEmpty(out: string): void {
  const found = statSync(out, { throwIfNoEntry: false });
  if (found === undefined || (found.isDirectory() && readdirSync(out).length === 0)) return;
  throw new CliError('usage', `${out} ${found.isDirectory() ? 'is not empty' : 'is a file'}`, {
    hint: 'give another folder as --out',
  });
}
