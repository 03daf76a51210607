import { resolveProfile } from '../../../ts/reproduce/profile.js';
import { workspace } from '../config/workspace.js';

export const TINY_PROFILE = 'tests/fixtures/reproduce/tiny.yaml';

/** The small profile of the tests, with overrides of its run. */
export const tinyProfile = (...overrides: readonly string[]) => resolveProfile(TINY_PROFILE, overrides);

/** A profile like that but for some text. */
export function changedProfile(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`the profile does not have: ${from}`);
  return `${workspace({ 'profile.yaml': text.replace(from, to) })}/profile.yaml`;
}
