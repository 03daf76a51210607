/** The mapping that a value under `key` is short for, null where it is short for none: `method: NAME`. */
export function longForm(value: unknown, key: string): Readonly<Record<string, string>> | null {
  return key === 'method' && typeof value === 'string' ? { extends: value } : null;
}
