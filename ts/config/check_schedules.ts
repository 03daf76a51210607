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

/** Checks schedules that move with evaluations against the evaluations that there will be. */
export function checkSchedules(stage: StageConfig, path: Path, findings: Findings): void {
  for (const { schedule, path: place } of stageSchedules(stage).values()) {
    if (schedule.kind === 'adaptive') checkAdaptive(schedule, stage, [...path, ...place], findings);
  }
}
