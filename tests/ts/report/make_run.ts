import type { StepRow } from '../../../ts/metrics/rows.js';
import type { RunData, StageData } from '../../../ts/report/read/run.js';
import { StepHistory } from '../../../ts/report/read/step_history.js';

export interface StageChange extends Partial<Omit<StageData, 'steps'>> {
  readonly steps?: readonly StepRow[];
}

export function makeStage({ steps = [], ...change }: StageChange = {}): StageData {
  return {
    name: 'student',
    method: 'ammd',
    teaches: false,
    begins: false,
    validation: null,
    done: true,
    steps: new StepHistory(steps),
    evaluations: [],
    samples: [],
    ...change,
  };
}

export interface RunChange {
  readonly name?: string;
  readonly seed?: number;
  readonly folder?: string;
  /** Top-level keys of the configuration besides. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly stages?: readonly StageData[];
}

/** A run as it is read, without files. */
export function makeRun({
  name = 'run',
  seed = 1,
  folder = `/runs/${name}`,
  settings = {},
  stages = [makeStage()],
}: RunChange = {}): RunData {
  const named = Object.fromEntries(stages.map((stage) => [stage.name, { method: stage.method ?? 'ammd' }]));
  return {
    name,
    folder,
    stages,
    config: {
      text: `name: ${name}`,
      sha256: 'ab'.repeat(32),
      value: { ...settings, name, seed, stages: named },
    },
    manifest: null,
  };
}
