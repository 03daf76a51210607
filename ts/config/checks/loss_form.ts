import type { Findings } from '../findings.js';
import { OBJECTIVES } from '../objectives.js';
import type { StageConfig, WorkerConfig } from '../schema.js';

/** Forms that are compiled for the values of an objective's parameters. */
const COMPILED: readonly string[] = ['compiled', 'triton'];

/** Whether a stage's losses can be computed in the form that is asked for by name. */
export function checkLossForm(
  { method }: StageConfig,
  stage: string,
  { loss_form }: Pick<WorkerConfig, 'loss_form'>,
  findings: Findings,
): void {
  if (loss_form === 'auto' || loss_form === 'plain') return;
  const at = ['worker', 'loss_form'];
  for (const [name, { objective, params }] of Object.entries(method.terms)) {
    if (OBJECTIVES[objective]?.formula === false)
      findings.warn(
        at,
        `no effect on stage ${stage}: the gradient of ${objective} (term ${name}) has no formula`,
      );
    if (!COMPILED.includes(loss_form)) continue;
    for (const [param, value] of Object.entries(params)) {
      if (typeof value === 'number') continue;
      findings.error(
        at,
        `${loss_form} would compile term ${name} of stage ${stage} anew whenever ${param} moves; give auto`,
      );
    }
  }
}
