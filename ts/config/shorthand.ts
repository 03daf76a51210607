/** Keys whose text stands for a mapping, with the key that it has there: `method: NAME`, `order: NAME`. */
const NAMED: ReadonlyMap<string, string> = new Map([
  ['method', 'extends'],
  ['order', 'by'],
]);

/** The mapping that a value under `key` is short for, null where it is short for none. A number is a constant schedule. */
export function longForm(value: unknown, key = ''): Readonly<Record<string, string | number>> | null {
  const name = NAMED.get(key);
  if (name !== undefined) return typeof value === 'string' ? { [name]: value } : null;
  return typeof value === 'number' ? { kind: 'constant', value } : null;
}
