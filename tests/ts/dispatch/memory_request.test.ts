import { describe, expect, test } from '@jest/globals';
import { memoryRequest } from '../../../ts/dispatch/memory_request.js';
import { withRows } from '../../../ts/plan/stage.js';
import { OPERATIONS } from '../../../ts/wire/protocol.gen.js';
import { ammd, stageOf } from '../plan/plans.js';

const requestOf = (...changes: readonly string[]) => {
  const request = memoryRequest(ammd(100, ...changes), true);
  OPERATIONS.predict_memory.args.parse(request);
  return request;
};

describe('what a stage asks of memory', () => {
  test('the rows of its parts, drawn ones as long as they may be', () => {
    const { parts } = requestOf('rollout={sampling: {max_new_tokens: 12}}');
    expect(parts).toEqual([
      { part: 'off', dataset: 'train', rows: expect.any(Number) },
      { part: 'on', dataset: 'train', rows: expect.any(Number), max_new_tokens: 12 },
    ]);
  });

  test('a longest response that changes counts with its largest value', () => {
    const { parts, rollouts } = requestOf('rollout={max_new_tokens: {kind: linear, from: 8, to: 21}}');
    expect(parts[1]?.max_new_tokens).toBe(21);
    expect(rollouts[0]?.sampling.max_new_tokens).toBe(21);
  });

  test('micro-batches, scoring, critics and terms are those of its steps, after critics have warmed up', () => {
    const request = requestOf(
      'training.micro_batch=3',
      'training.packing=true',
      'method.adversary.warmup_steps=5',
    );
    expect(request).toMatchObject({ micro_batch: 3, packing: true, teacher: true, student: 'graph' });
    expect(request.updates).toEqual([
      { critic: 'on', part: 'on' },
      { critic: 'off', part: 'off' },
    ]);
    expect(request.terms.map(({ name }) => name)).toEqual(expect.arrayContaining(['off', 'on']));
  });

  test('dropout of adapters', () => {
    expect(requestOf('training.lora={dropout: 0.1}')).toMatchObject({ dropout: true, student: 'values' });
    expect(requestOf('training.lora={dropout: 0}').dropout).toBeUndefined();
  });

  test('generation for training and for evaluation', () => {
    const { rollouts } = requestOf(
      'method.sources.on.mixture=0.2',
      'evaluation={sampling: {max_new_tokens: 77}}',
      'method.iteration={minibatches: 3}',
    );
    const [on, check] = rollouts;
    const rows = requestOf().parts[1]?.rows ?? 0;
    expect(on).toMatchObject({ name: 'rollout of on', role: 'student', rows: 3 * rows, mixture: true });
    expect(check).toMatchObject({ name: 'evaluation of check', role: 'student', rows: 50 });
    expect(check?.sampling.max_new_tokens).toBe(77);
  });

  test('an evaluation draws no more at a time than one request has', () => {
    const plan = withRows(stageOf('student'), { train: 100, check: 5000 });
    expect(memoryRequest(plan, true).rollouts.at(-1)?.rows).toBe(128);
    const none = withRows(stageOf('student'), { train: 100, check: 0 });
    expect(memoryRequest(none, true).rollouts.map(({ name }) => name)).toEqual(['rollout of on']);
  });

  test('rows drawn ahead are drawn in the background and kept', () => {
    const request = requestOf('method.sources.on.max_staleness=1');
    expect(request.rollouts[0]).toMatchObject({ background: true });
    expect(request.kept_rows).toBe(request.parts[1]?.rows);
  });

  test('rows in a buffer', () => {
    expect(requestOf('method.sources.on.replay={capacity: 321}').kept_rows).toBe(321);
    expect(requestOf().kept_rows).toBe(0);
  });

  test('that checkpoints are written while training goes on, by step numbers or by the clock', () => {
    expect(requestOf('checkpoints={every: 0}').checkpoints).toBe(true);
    expect(requestOf('checkpoints={every: 4}').checkpoints).toBe(true);
  });

  test('a stage without teacher or critics', () => {
    const plan = withRows(stageOf('teacher'), { train: 100, check: 5 });
    expect(memoryRequest(plan, false)).toMatchObject({
      teacher: false,
      student: 'none',
      updates: [],
      rehearse: false,
      kept_rows: 0,
    });
  });
});
