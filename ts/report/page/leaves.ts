/** Every leaf of a JSON value as its path (`a.b.0.c`) and its text; a list of plain values is one leaf. */
export function leavesOf(value: unknown, path = ''): (readonly [path: string, text: string])[] {
  if (typeof value !== 'object' || value === null) return [[path, String(value)]];
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object' || item === null)) {
    return [[path, value.map(String).join(', ')]];
  }
  return Object.entries(value).flatMap(([key, item]) => leavesOf(item, path === '' ? key : `${path}.${key}`));
}
