/** What a configuration may say of objectives, as the worker's registry has written it down. */
export function emitObjectives(facts: unknown): string {
  return `// Generated from protocol/fixtures/objectives.json by protocol/generate.ts; do not edit.

export const OBJECTIVE_FACTS = ${JSON.stringify(facts, null, 2)} as const;
`;
}
