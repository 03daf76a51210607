import { describe, expect, test } from '@jest/globals';
import type { WorkerConfig } from '../../../../ts/config/schema.js';
import { type Circumstances, remediesFor } from '../../../../ts/run/memory/advice.js';
import { stageOf } from '../../plan/plans.js';

const WORKER: Pick<WorkerConfig, 'position_chunk' | 'rollout_rows' | 'offload_teacher'> = {
  position_chunk: 0,
  rollout_rows: 0,
  offload_teacher: false,
};

function circumstances(changes: readonly string[] = [], rest: Partial<Circumstances> = {}): Circumstances {
  const stage = stageOf('student', ...changes.map((change) => `stages.student.${change}`));
  return { stage, worker: WORKER, device: 'cuda:0 A', ...rest };
}

const excess = (items: Readonly<Record<string, number>>, bytes = 1) => ({ items, bytes });

const first = (item: string, ...changes: readonly string[]) =>
  remediesFor(excess({ [item]: 100 }), circumstances(changes))[0];

describe('what to change for less memory', () => {
  test('the largest item comes first', () => {
    const items = { gradients: 20, logits: 40, activations: 30, student: 10 };
    const [one, two] = remediesFor(excess(items), circumstances());
    expect(one).toMatch(/position_chunk/);
    expect(two).toMatch(/micro_batch/);
  });

  test.each([
    ['activations', /training.micro_batch: 7 or less \(now 8\)/],
    ['logits', /position_chunk/],
    ['teacher', /bfloat16 of the teacher/],
    ['optimizer', /training.lora/],
    ['gradients', /training.lora/],
    ['student', /training.lora/],
    ['critics', /critics/],
    ['critic_gradients', /critics/],
    ['hidden_states', /batch_size below 8/],
    ['kv_cache', /rollout_rows/],
    ['rollouts', /replay.capacity/],
    ['checkpoint', /training.lora/],
  ])('%s', (item, remedy) => {
    expect(first(item, 'training.batch_size=8', 'checkpoints={every: 5}')).toMatch(remedy);
  });

  test('keys and values: fewer rows at a time, then shorter responses', () => {
    expect(remediesFor(excess({ kv_cache: 100 }), circumstances())).toEqual([
      "a smaller worker.rollout_rows (now the engine's own)",
      expect.stringMatching(/^a smaller max_new_tokens/),
    ]);
  });

  test('what is in force already is not proposed', () => {
    const changes = [
      'training.micro_batch=1',
      'training.gradient_checkpointing=true',
      'training.lora={}',
      'student={source: big, compute_dtype: bfloat16}',
      'teacher={source: bigger, dtype: bfloat16}',
    ];
    const all = (item: string, rest: Partial<Circumstances> = {}) =>
      remediesFor(excess({ [item]: 100 }), circumstances(changes, rest));
    expect(all('activations')).toEqual(['a smaller max_tokens of the data']);
    expect(all('optimizer')).toEqual(['a smaller student']);
    expect(all('teacher')).toEqual(['worker.offload_teacher: true']);
    expect(all('teacher', { worker: { ...WORKER, offload_teacher: true } })).toEqual([]);
    expect(all('teacher', { device: 'cpu' })).toEqual([]);
  });

  test('as many rows as leave no excess, and one at least', () => {
    const rows = (bytes: number) =>
      remediesFor(
        excess({ activations: 800, student: 500 }, bytes),
        circumstances(['training.batch_size=16', 'training.micro_batch=8']),
      )[0];
    expect(rows(400)).toBe('training.micro_batch: 4 or less (now 8)');
    expect(rows(401)).toBe('training.micro_batch: 3 or less (now 8)');
    expect(rows(1200)).toBe('training.micro_batch: 1 or less (now 8)');
  });

  test('a token budget is what is lowered where there is one', () => {
    expect(first('activations', 'training.micro_tokens=4000')).toBe(
      'training.micro_tokens: 3960 or less (now 4000)',
    );
  });

  test('an optimistic optimizer goes before everything else that is trained', () => {
    expect(first('update', 'training.optimizer.optimistic=true')).toBe(
      'training.optimizer.optimistic: false',
    );
  });

  test('the second student is that of parts drawn ahead', () => {
    expect(first('second_student', 'method.sources.on.max_staleness=1')).toBe('sources.on.max_staleness: 0');
  });

  test('a few remedies, each once', () => {
    const items = { student: 5, gradients: 4, optimizer: 3, activations: 2, logits: 1 };
    const found = remediesFor(excess(items), circumstances());
    expect(found).toHaveLength(4);
    expect(new Set(found).size).toBe(4);
  });

  test('for what nothing helps there is none', () => {
    expect(remediesFor(excess({ overhead: 9 }), circumstances())).toEqual([]);
  });
});
