import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { startCommand, TINY, until } from './tiny_run.js';

const folder = mkdtempSync(path.join(tmpdir(), 'ammd-changed-'));
afterAll(() => rmSync(folder, { recursive: true }));

const rows = (count: number) =>
  Array.from({ length: count }, (_, i) => `${JSON.stringify({ instruction: `say ${i}`, output: `${i}` })}\n`);

test('a run whose data changed does not go on, and leaves all as it was', async () => {
  const data = path.join(folder, 'data.jsonl');
  const run = path.join(folder, 'run');
  writeFileSync(data, rows(40).join(''));
  const train = ['train', TINY, '--out', run];
  for (const set of [`data.train={source: ${data}, limit: null}`, 'stage_defaults.training.steps=5000'])
    train.push('--set', set);
  const begun = startCommand(train);
  const checkpoints = path.join(run, 'stages/teacher/checkpoints');
  await until(() => existsSync(checkpoints) && readdirSync(checkpoints).length > 0, 'a checkpoint');
  begun.process.kill('SIGTERM');
  expect((await begun.exit).code).toBe(130);

  writeFileSync(data, rows(30).join(''));
  const manifest = readFileSync(path.join(run, 'manifest.json'), 'utf8');
  const resumed = startCommand(['resume', run]);
  expect((await resumed.exit).code).toBe(2);
  expect(resumed.stderr()).toContain('dataset train is no longer what stage teacher began with');
  expect(readFileSync(path.join(run, 'manifest.json'), 'utf8')).toBe(manifest);
});
