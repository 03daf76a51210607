import { describe, expect, test } from '@jest/globals';
import { memoryHint, memoryLines } from '../../../ts/cli/memory_lines.js';
import type { MemoryForecast } from '../../../ts/run/memory/forecast.js';

const GIB = 2 ** 30;
const FITS: MemoryForecast = {
  phases: [
    { name: 'scoring', items: { teacher: GIB, hidden_states: GIB / 2 } },
    { name: 'student', items: { teacher: GIB, activations: 2 * GIB, rollouts: 1000 } },
  ],
  peak_bytes: 3 * GIB,
  available_bytes: 4 * GIB,
  fits: true,
  remedies: [],
};
const FAILS: MemoryForecast = {
  ...FITS,
  available_bytes: 2 * GIB,
  fits: false,
  remedies: ['training.micro_batch: 2 or less (now 4)', 'a smaller student'],
};

const outcome = (stage: string, memory: MemoryForecast | null) => ({
  stage,
  memory,
  checks: [],
  steps: 1,
  notes: [],
  skipped: null,
});

const SKIPPED = { stage: 'later', skipped: 'its model is not there yet' };

describe('memory in words', () => {
  test('the phase that takes most by items, the largest first, and the others in all', () => {
    expect(memoryLines(FITS)).toEqual([
      "ok   memory: 3.00 GiB of 4.00 GiB available, in the student's step",
      '     activations 2.00 GiB, teacher 1.00 GiB',
      '     other phases: scoring 1.50 GiB',
    ]);
  });

  test('what does not fit comes with what to change', () => {
    const lines = memoryLines(FAILS);
    expect(lines[0]).toMatch(/^FAIL memory: 3.00 GiB of 2.00 GiB/);
    expect(lines.at(-1)).toBe(
      '     to change first: training.micro_batch: 2 or less (now 4); a smaller student',
    );
  });

  test('a lower bound says so', () => {
    const lines = memoryLines({ ...FITS, missing: 'a model reads numbers' });
    expect(lines[0]).toMatch(/3.00 GiB, at least of/);
    expect(lines.at(-1)).toMatch(/not in it: a model reads numbers/);
  });

  test('of several evaluations the one that takes most', () => {
    const sets = ['small', 'large', 'middle'].map((name, index) => ({
      name: `evaluation of ${name}`,
      items: { kv_cache: [1, 3, 2][index] ?? 0 },
    }));
    const lines = memoryLines({ ...FITS, phases: [...FITS.phases, ...sets] });
    expect(lines.at(-1)).toBe('     other phases: scoring 1.50 GiB, evaluation of large 0 MiB');
  });

  test('nothing predicted, nothing said', () => {
    expect(memoryLines({ ...FITS, phases: [], peak_bytes: 0 })).toEqual([]);
  });

  test('the hint is about the first stage that does not fit', () => {
    const stages = [outcome('sft', FITS), outcome('none', null), SKIPPED, outcome('ammd', FAILS)];
    expect(memoryHint(stages)).toMatch(
      /^stage ammd takes 3.00 GiB and 2.00 GiB are available: change training/,
    );
    expect(memoryHint([outcome('ammd', { ...FAILS, remedies: [] })])).toMatch(/machine with more/);
    expect(memoryHint(stages.slice(0, 3))).toBeUndefined();
  });
});
