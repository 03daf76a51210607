import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { readTable } from '../../ts/metrics/table_file.js';
import { jsonLines, ROOT, startCommand } from './tiny_run.js';

const PROFILE = path.join(ROOT, 'tests/fixtures/reproduce/tiny.yaml');
const scratch = mkdtempSync(path.join(tmpdir(), 'ammd-reproduce-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const command = (out: string, ...more: readonly string[]) =>
  startCommand(['reproduce', 'instruct', '--profile', PROFILE, '--out', out, '--jobs', '1', ...more]);

async function finish(out: string, ...more: readonly string[]): Promise<void> {
  const { exit, stderr } = command(out, ...more);
  const { code } = await exit;
  expect(`${code} ${stderr()}`).toMatch(/^0 /);
}

/** The table without what the clock decides. */
function tableOf(out: string): unknown {
  const { rows, ...table } = readTable(path.join(out, 'instruct'));
  return { ...table, rows: rows.map(({ seconds: _seconds, ...row }) => row) };
}

/** Every stage's folder with its manifest, which says when it was made and gone on with. */
function stagesOf(out: string): ReadonlyMap<string, string> {
  const folder = path.join(out, 'stages');
  const manifests = readdirSync(folder).map((name) => path.join(folder, name, 'manifest.json'));
  return new Map(manifests.map((file) => [path.dirname(file), readFileSync(file, 'utf8')]));
}

const undisturbed = path.join(scratch, 'undisturbed');
const disturbed = path.join(scratch, 'disturbed');

/** Rows of all stages so far: how far a reproduction has come. */
const progress = (out: string): number => {
  const folder = path.join(out, 'stages');
  if (!existsSync(folder)) return 0;
  const files = readdirSync(folder).flatMap((run) =>
    ['teacher', 'student'].map((stage) => path.join(folder, run, 'stages', stage, 'metrics.jsonl')),
  );
  return files.reduce((sum, file) => sum + jsonLines(file).length, 0);
};

async function grown(out: string, rows: number): Promise<void> {
  while (progress(out) < rows) await new Promise((resolve) => setTimeout(resolve, 20));
}

test('a reproduction makes its table and its report', async () => {
  await finish(undisturbed);
  const table = readTable(path.join(undisturbed, 'instruct'));
  expect(table.rows.map(({ id }) => id)).toEqual(['teacher', 'jsd', 'ammd']);
  expect(table.rows.flatMap(({ cells }) => cells.map((cell) => cell?.seeds.length))).toEqual([
    1, 1, 2, 2, 2, 2,
  ]);
  expect(table.primary).toMatchObject({ row: 'ammd', against: 'jsd', seeds: 2, rows: 6 });
  for (const { folder } of table.curves)
    expect(existsSync(path.join(undisturbed, 'instruct', folder, 'config.yaml'))).toBe(true);
  const page = readFileSync(path.join(undisturbed, 'instruct', 'report.html'), 'utf8');
  for (const { label } of table.rows) expect(page).toContain(label);
});

test('a test set that cannot be scored shows once the teacher is there, before students are trained', async () => {
  const out = path.join(scratch, 'unanswered');
  const rows = path.join(scratch, 'unanswered.jsonl');
  writeFileSync(
    rows,
    '{"instruction": "upper: a", "output": "A"}\n{"instruction": "upper: b", "output": []}\n',
  );
  const { exit, stderr } = command(out, '--set', `data.seen={source: ${rows}, split: train}`);
  expect((await exit).code).not.toBe(0);
  expect(stderr()).toContain("row 1 of 'seen' has no reference to compare with; leave such rows out");
  expect(readdirSync(path.join(out, 'stages'))).toHaveLength(1);
});

test('one that was killed three times, anywhere, ends with the same table', async () => {
  const whole = progress(undisturbed);
  // Anywhere: as many rows on as a draw says, then at once.
  const kills = [1, 2, 3].map((nth) => Math.floor(((nth - 1 + Math.random()) / 3) * whole * 0.9));
  for (const rows of kills) {
    const { process, exit } = command(disturbed);
    await grown(disturbed, rows);
    process.kill('SIGKILL');
    await exit;
  }
  expect(existsSync(path.join(disturbed, 'instruct', 'table.json'))).toBe(false);
  await finish(disturbed);
  expect({ kills, table: tableOf(disturbed) }).toEqual({ kills, table: tableOf(undisturbed) });
});

test('a changed setting trains its own row again, and nothing else', async () => {
  const before = stagesOf(undisturbed);
  await finish(undisturbed, '--set', 'stages.jsd.training.optimizer.beta2=0.9');
  const after = stagesOf(undisturbed);
  for (const [stage, manifest] of before) expect(after.get(stage)).toBe(manifest);
  // The two values tried and the two seeds of that row.
  expect(after.size).toBe(before.size + 4);
});
