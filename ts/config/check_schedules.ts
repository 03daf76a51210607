import type { Findings, Path } from './findings.js';
import { stageSchedules } from './schedules.js';
import type { AdaptiveSchedule, StageConfig } from './schema.js';

function checkAdaptive(schedule: AdaptiveSchedule, stage: StageConfig, path: Path, findings: Findings): void {
  const { every, measure, metrics } = stage.evaluation;
  if (stage.data.validation === null) {
    findings.error(path, 'an adaptive schedule needs a validation set; set `data.validation`');
  } else if (every === 0) {
    findings.error(path, 'an adaptive schedule needs evaluations during training; set `evaluation.every`');
  }
  const known: readonly string[] = [...metrics, ...measure];
  if (known.includes(schedule.metric)) return;
  findings.error(
    [...path, 'metric'],
    `"${schedule.metric}" is not evaluated (${known.join(', ')} are); add it to \`evaluation.metrics\` or \`evaluation.measure\``,
  );
}

/** Whether a part's rows come from a model is decided at the start of an iteration, and holds to its end. */
function checkBetweenIterations(stage: StageConfig, path: Path, findings: Findings): void {
  const { minibatches, epochs } = stage.method.iteration;
  const length = minibatches * epochs;
  if (length === 1 || stage.evaluation.every % length === 0) return;
  findings.error(
    path,
    `moves at evaluations, which must lie between iterations of ${length} steps; make \`evaluation.every\` a multiple of ${length}`,
  );
}

/** Checks schedules that move with evaluations against the evaluations that there will be. */
export function checkSchedules(stage: StageConfig, path: Path, findings: Findings): void {
  for (const [name, placed] of stageSchedules(stage)) {
    if (placed.schedule.kind !== 'adaptive') continue;
    const at = [...path, ...placed.path];
    checkAdaptive(placed.schedule, stage, at, findings);
    if (name.endsWith('.probability')) checkBetweenIterations(stage, at, findings);
  }
}
