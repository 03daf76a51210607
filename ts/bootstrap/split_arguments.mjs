/**
 * Splits a setting into arguments at spaces, except within quotes, as a shell does.
 *
 * @param {string} text e.g. `--find-links "/my wheels" --no-index`
 * @returns {string[]}
 */
export function splitArguments(text) {
  const words = text.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'));
}
