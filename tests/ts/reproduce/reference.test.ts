import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ConfigError } from '../../../ts/config/errors.js';
import { type ReferenceKey, readReferences, referenceNumber } from '../../../ts/reproduce/reference.js';

const SETS = ['dolly', 'self_instruct', 'vicuna', 'sni', 'unni'];

describe('numbers of others', () => {
  const references = readReferences();
  const value = (change: Partial<ReferenceKey>) =>
    referenceNumber(references, {
      family: 'openllama',
      student: '3B',
      method: 'ammd',
      dataset: 'sni',
      metric: 'rouge_l',
      ...change,
    });
  const row = (change: Partial<ReferenceKey>) =>
    SETS.map((dataset) => value({ ...change, dataset })?.value ?? null);

  test('the paper’s own', () => {
    expect(row({})).toEqual([null, 21.7, 21.4, 38.7, 39.1]);
    expect(value({})).toEqual({ value: 38.7, sd: null, source: 'the paper (its benchmark listing)' });
    const t5 = { family: 't5', student: 'best' };
    expect(value({ ...t5, dataset: 'samsum' })?.value).toBe(52.7);
    expect(value({ ...t5, dataset: 'iwslt17', metric: 'bleu' })?.value).toBe(36);
    expect(value({ ...t5, dataset: 'strategyqa', metric: 'accuracy', method: 'distillm' })?.value).toBe(62.8);
  });

  test('the paper’s number goes before a re-run’s, which fills the gaps', () => {
    expect(row({ method: 'distillm' })).toEqual([28.24, 20.8, 20.4, 37.2, 38.2]);
    expect(value({ method: 'distillm', dataset: 'dolly' })?.source).toMatch(/re-run/);
    expect(value({ method: 'distillm' })?.source).toMatch(/the paper/);
    expect(row({ method: 'minillm' })).toEqual([27.74, 20.61, 18.83, 35.31, 33.86]);
  });

  test('GPT-2: the full recipe and the loss alone are kept apart', () => {
    const gpt2 = { family: 'gpt2', student: '120M' };
    expect(row({ ...gpt2, method: 'teacher' })).toEqual([27.6, 14.3, 16.3, 27.6, 31.8]);
    expect(row({ ...gpt2, method: 'kd' })).toEqual([22.8, 10.8, 13.4, 19.7, 22.0]);
    expect(row({ ...gpt2, method: 'tvd' })).toEqual(SETS.map(() => null));
    expect(row({ ...gpt2, method: 'loss-tvd' })).toEqual([24.08, 10.83, 14.68, 25.57, 27.51]);
    expect(value({ ...gpt2, method: 'loss-srkl' })?.source).toMatch(/losses alone/);
  });

  test('of any size where none is asked for', () => {
    expect(value({ student: null })?.value).toBe(38.7);
    expect(value({ family: 'gpt2', student: null, method: 'sft' })?.value).toBe(16.3);
  });

  test('nothing where nobody states one: another size, metric or set', () => {
    expect(value({ student: '7B' })).toBeNull();
    expect(value({ metric: 'exact_match' })).toBeNull();
    expect(value({ dataset: 'toString' })).toBeNull();
    expect(value({ method: 'constructor' })).toBeNull();
  });
});

describe('a file of references', () => {
  const TABLE = '{family: gpt2, student: 120M, source: s, datasets: {dolly: rouge_l}, rows: ROWS}';
  const read = (rows: string, sources = '{s: a paper}') => {
    const file = join(mkdtempSync(join(tmpdir(), 'references-')), 'reference.yaml');
    writeFileSync(file, `sources: ${sources}\ntables:\n  - ${TABLE.replace('ROWS', rows)}\n`);
    return readReferences(file);
  };

  test('may state a spread', () => {
    const key = { family: 'gpt2', student: '120M', method: 'kd' } as const;
    expect(
      referenceNumber(read('{kd: [{value: 22.8, sd: 0.3}]}'), {
        ...key,
        dataset: 'dolly',
        metric: 'rouge_l',
      }),
    ).toEqual({ value: 22.8, sd: 0.3, source: 'a paper' });
  });

  test.each([
    ['{kd: [1, 2]}', '{s: a paper}', /more or fewer numbers/],
    ['{kd: [x]}', '{s: a paper}', /kd/],
    ['{kd: [1]}', '{t: a paper}', /not among the sources/],
    ['{kd: [1', '{s: a paper}', /cannot read/],
  ])('is refused: %s, %s', (rows, sources, message) => {
    expect(() => read(rows, sources)).toThrow(message);
    expect(() => read(rows, sources)).toThrow(ConfigError);
  });
});
