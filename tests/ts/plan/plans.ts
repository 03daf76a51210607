import { planRun } from '../../../ts/plan/run.js';
import { withRows } from '../../../ts/plan/stage.js';
import type { RunPlan, SizedStagePlan, StagePlan } from '../../../ts/plan/types.js';
import { resolveRun } from '../config/workspace.js';

export const planOf = (...overrides: readonly string[]): RunPlan => planRun(resolveRun(...overrides));

/** The stage of that name; the demo run has `teacher` (SFT) and `student` (AMMD). */
export function stageOf(name: string, ...overrides: readonly string[]): StagePlan {
  const stage = planOf(...overrides).stages.find((one) => one.name === name);
  if (stage === undefined) throw new Error(`no stage ${name}`);
  return stage;
}

/** The AMMD stage with its method changed and `rows` rows of training data. */
export function ammd(rows: number, ...changes: readonly string[]): SizedStagePlan {
  const overrides = changes.map((change) => `stages.student.${change}`);
  return withRows(stageOf('student', ...overrides), { train: rows, check: 50 });
}
