import { evaluatedSets } from '../config/evaluated.js';
import type { StagePlan } from '../plan/types.js';
import { RunError } from './errors.js';
import type { LoadedData } from './loaded_stage.js';

/**
 * Refuses a stage that needs answers which its rows do not have: they would be missed after all training, or there would
 * be nothing to learn.
 *
 * @throws RunError `answers_missing`
 */
export function requireAnswers(
  { name, data, parts }: Pick<StagePlan, 'name' | 'data' | 'parts'>,
  datasets: Readonly<Record<string, LoadedData>>,
): void {
  for (const set of evaluatedSets(data)) {
    const { rows = 0, unanswered = 0 } = datasets[set] ?? {};
    if (unanswered > 0)
      throw new RunError(
        'answers_missing',
        `stage ${name}: ${unanswered} of ${rows} rows of dataset ${set} have no answer to score responses by`,
        {
          hint: 'leave those rows out of its source, or the dataset out of the stage’s validation and test sets',
        },
      );
  }
  for (const { part, from, dataset } of parts) {
    const { rows = 0, unanswered = 0 } = datasets[dataset] ?? {};
    if (from === 'dataset' && rows > 0 && rows === unanswered)
      throw new RunError(
        'answers_missing',
        `stage ${name}: part ${part} learns the answers of dataset ${dataset}, and none of its rows has one`,
        {
          hint: 'give rows with answers, or a method that draws them: `ammd-on`, `gkd` with probability 1, `seqkd`',
        },
      );
  }
}
