/** What the controller knows of objectives, metrics, engines and of what memory is for, as the worker has written it down. */
export function emitRegistries(facts: unknown): string {
  const { objectives, losses, scores, engines, memory } = facts as Readonly<Record<string, unknown>>;
  const constant = (name: string, value: unknown) =>
    `export const ${name} = ${JSON.stringify(value, null, 2)} as const;\n`;
  return [
    '// Generated from protocol/fixtures/registries.json by protocol/generate.ts; do not edit.\n',
    constant('SCORES', scores),
    constant('LOSSES', losses),
    constant('OBJECTIVE_FACTS', objectives),
    constant('ENGINE_FACTS', engines),
    constant('MEMORY_ITEMS', memory),
  ].join('\n');
}
