import type { RunData, StageData } from '../../../ts/report/read_run.js';

export function makeStage(change: Partial<StageData> = {}): StageData {
  return {
    name: 'student',
    method: 'ammd',
    teaches: false,
    begins: false,
    validation: null,
    done: true,
    steps: [],
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
