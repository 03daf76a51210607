import type { Findings, Path } from '../findings.js';
import type { AdaptiveSchedule, StageConfig } from '../schema.js';
import { evaluationsWithin, mostMoves, stageSchedules } from '../stage_schedules.js';

/** A move after the last step would move nothing, so the evaluation there does not count. */
function checkMoves(schedule: AdaptiveSchedule, stage: StageConfig, path: Path, findings: Findings): void {
  const { steps } = stage.training;
  const { every } = stage.evaluation;
  if (steps === null || every === 0) return;
  const { warmup_steps } = stage.method.adversary;
  const allowed = evaluationsWithin(every, warmup_steps, warmup_steps + steps - 1);
  const needed = mostMoves(schedule);
  if (allowed >= needed) return;
  const longest = Math.floor((steps - 1) / needed);
  findings.warn(
    path,
    `from ${schedule.from} to ${schedule.to} takes ${needed} moves, and the evaluations before the last step allow ` +
      `${allowed}; give ${longest > 0 ? `an \`evaluation.every\` of at most ${longest}, or ` : ''}a larger \`increment\``,
  );
}

function checkAdaptive(schedule: AdaptiveSchedule, stage: StageConfig, path: Path, findings: Findings): void {
  const { every, measure, metrics } = stage.evaluation;
  if (stage.data.validation === null) {
    findings.error(path, 'an adaptive schedule needs a validation set; set `data.validation`');
  } else if (every === 0) {
    findings.error(path, 'an adaptive schedule needs evaluations during training; set `evaluation.every`');
  }
  checkMoves(schedule, stage, path, findings);
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
