import { evaluatedSets } from '../../config/evaluated.js';
import { constantValue } from '../../config/schema.js';
import type { StagePlan } from '../../plan/types.js';
import { RunError } from '../errors.js';
import type { LoadedData } from './loaded_stage.js';

/**
 * Refuses a stage that needs answers which its rows do not have: they would be missed after all training, or there would
 * be nothing to learn.
 *
 * @throws RunError `answers_missing`
 */
export function requireAnswers(
  { name, data, parts, schedules }: Pick<StagePlan, 'name' | 'data' | 'parts' | 'schedules'>,
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
    const drawn = schedules[`sources.${part}.probability`];
    const learned = from === 'dataset' || (drawn !== undefined && constantValue(drawn) !== 1);
    if (learned && rows > 0 && rows === unanswered)
      throw new RunError(
        'answers_missing',
        `stage ${name}: part ${part} learns the answers of dataset ${dataset}, and none of its rows has one`,
        {
          hint: 'give rows with answers, or a method that draws them: `ammd-on`, `seqkd`, or `gkd` with `probability: 1`',
        },
      );
  }
}
