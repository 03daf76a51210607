import path from 'node:path';
import { expect, test } from '@jest/globals';
import { plannedLines } from '../../../../ts/cli/reproduce/dry_run_lines.js';
import { ReproductionFolder } from '../../../../ts/reproduce/folder.js';
import { resolveProfile } from '../../../../ts/reproduce/profile.js';
import { planTable } from '../../../../ts/reproduce/run_table.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';
import { tinyProfile } from '../../reproduce/scene.js';

const asIs = (source: string) => source;

function linesOf(profile = tinyProfile()): string {
  const table = profile.config.tables.instruct;
  if (table === undefined) throw new Error('the profile has the table');
  const folder = new ReproductionFolder(path.join(temporaryFolder(), 'none'), asIs);
  return plannedLines(profile, planTable(profile, table, { folder, fingerprint: asIs })).join('\n');
}

test('every stage, what it is for, and that all files are there', () => {
  const text = linesOf();
  expect(text).toMatch(/teacher +jsd \(0\.001, tuning\), jsd \(0\.004, tuning\) and 7 more +6/);
  expect(text).toMatch(/ammd +ammd \(seed 6\) +6/);
  expect(text).toContain('9 stages, 0 done; 27 evaluations, 0 done');
  expect(text).toContain('files: all there');
});

test("a teacher's responses are drawn once for all seeds", () => {
  const text = linesOf(resolveProfile('mini'));
  expect(text).toMatch(
    /^responses: each drawn once by teacher and kept, on train \(60000 prompts\), for seqkd \(0\.001, tuning\), seqkd \(0\.002, tuning\) and 8 more$/m,
  );
  expect(text.match(/^responses:/gm)).toHaveLength(1);
});

test('rows that draw alike share the responses, others have their own', () => {
  const drawn = ['jsd', 'ammd'].map(
    (stage) => `stages.${stage}.method={extends: jsd, sources: {off: {from: teacher}}}`,
  );
  const counted = (...overrides: readonly string[]) =>
    linesOf(tinyProfile(...drawn, ...overrides)).match(/^responses:/gm)?.length;
  expect(counted()).toBe(1);
  expect(counted('stages.jsd.rollout.temperature=0.7')).toBe(2);
  expect(counted('stages.jsd.method.sources.off.responses_seed=77')).toBe(2);
});

test('what is missing is told with the key that names it, and nothing is refused', () => {
  const text = linesOf(resolveProfile('gpt2'));
  expect(text).toContain('files that are missing:');
  expect(text).toMatch(/data\.train\.source: no such file or folder; looked for .*data\/dolly\/train\.jsonl/);
  expect(text).toMatch(/\d hours on an H100/);
});
