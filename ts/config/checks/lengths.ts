import { evaluatedSets } from '../evaluated.js';
import type { Findings } from '../findings.js';
import { longestResponse } from '../longest_response.js';
import { constantValue, isT5, type RunConfig, type StageConfig } from '../schema.js';
import { modelBehind } from './models.js';

type Role = 'student' | 'teacher';

/** Rows that go through some of a stage's models: as the dataset has them, or with responses that are generated. */
interface Rows {
  readonly dataset: string;
  readonly roles: readonly Role[];
  /** Longest response that is generated, and the key that says so; null for the dataset's own. */
  readonly generated: { readonly tokens: number; readonly by: string } | null;
}

function trainingRows(stage: StageConfig): readonly Rows[] {
  const roles = ['student', 'teacher'] as const;
  const { sampling, max_new_tokens } = stage.rollout;
  const rollout = { tokens: longestResponse(sampling, max_new_tokens), by: 'rollout' };
  return Object.values(stage.method.sources).flatMap(({ from, data, probability }): readonly Rows[] => {
    const dataset = data ?? stage.data.train;
    const own = from === 'dataset' || constantValue(probability) !== 1;
    return [
      ...(own ? [{ dataset, roles, generated: null }] : []),
      ...(from === 'dataset' ? [] : [{ dataset, roles, generated: rollout }]),
    ];
  });
}

function evaluatedRows({ data, evaluation }: StageConfig): readonly Rows[] {
  const { validation } = data;
  const generated = { tokens: evaluation.sampling.max_new_tokens, by: 'evaluation' };
  const measured = validation === null || evaluation.measure.length === 0 ? [] : [validation];
  return [
    ...evaluatedSets(data).map((dataset): Rows => ({ dataset, roles: ['student'], generated })),
    ...measured.map((dataset): Rows => ({ dataset, roles: ['student', 'teacher'], generated: null })),
  ];
}

/** Positions of a stage's builtin model, where it counts them; those of others are known to the worker alone. */
function positionsOf(
  role: Role,
  name: string,
  stage: StageConfig,
  config: RunConfig,
  earlier: readonly string[],
): number | undefined {
  const reference = stage[role];
  if (reference === null) return undefined;
  const model = modelBehind(reference, ['stages', name, role], config, earlier)?.model;
  return model === undefined || isT5(model.source) ? undefined : model.arch?.max_positions;
}

/**
 * Sequences must fit the models that they go through. The rows of a dataset may be shorter than its limits; but a
 * response that might not fit is refused by the worker before it is drawn, perhaps after hours of training.
 */
export function checkLengths(
  name: string,
  stage: StageConfig,
  config: RunConfig,
  earlier: readonly string[],
  findings: Findings,
): void {
  for (const { dataset, roles, generated } of [...trainingRows(stage), ...evaluatedRows(stage)]) {
    const data = config.data[dataset];
    if (data === undefined) continue;
    const longest = generated === null ? data.max_tokens : data.max_prompt_tokens + generated.tokens;
    for (const role of roles) {
      const limit = positionsOf(role, name, stage, config, earlier);
      if (limit === undefined || longest <= limit) continue;
      const model = `the ${role} of stage "${name}" has ${limit} positions`;
      const at = ['data', dataset];
      if (generated === null) findings.warn(at, `sequences may reach ${longest} tokens; ${model}`);
      else {
        findings.error(
          at,
          `prompts of up to ${data.max_prompt_tokens} tokens with responses of up to ${generated.tokens} (\`${generated.by}\`) ` +
            `may reach ${longest}; ${model}: lower \`max_prompt_tokens\` or \`max_new_tokens\``,
        );
      }
    }
  }
}
