import type { EvaluationRow, SampleRow, StepRow } from '../../../ts/metrics/rows.js';

const NO_SECONDS: StepRow['seconds'] = {
  generate: 0,
  build: 0,
  teacher: 0,
  prepass: 0,
  critic: 0,
  student: 0,
  end: 0,
  wire: 0,
  idle: 0,
  total: 0,
};

export function makeStep(
  change: Partial<Omit<StepRow, 'seconds'>> & { readonly seconds?: Partial<StepRow['seconds']> } = {},
): StepRow {
  return {
    kind: 'step',
    stage: 'ammd',
    step: 1,
    metrics: { loss: 1 / 3 },
    lr: 1e-3,
    critic_lr: null,
    tokens: { batch: 20, response: 12, generated: 6 },
    policy_version: 1,
    wire_bytes: 900,
    ...change,
    seconds: { ...NO_SECONDS, ...change.seconds },
  };
}

export function makeEvaluation(change: Partial<EvaluationRow> = {}): EvaluationRow {
  return {
    kind: 'evaluation',
    stage: 'ammd',
    step: 10,
    final: true,
    dataset: 'seen',
    metric: 'exact_match',
    decoding: 'sampled',
    seed: 10,
    mean: 50,
    rows: 2,
    ended: 1,
    mean_length: 3.5,
    tokens: 7,
    ...change,
  };
}

export function makeSample(change: Partial<SampleRow> = {}): SampleRow {
  return {
    kind: 'sample',
    stage: 'ammd',
    step: 10,
    dataset: 'seen',
    row: 0,
    prompt: 'reverse: abc',
    text: 'cba',
    references: ['cba'],
    ...change,
  };
}
