import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { runCaptured } from '../ts/cli/captured.js';
import { PYTHON } from './tiny_run.js';

const folder = mkdtempSync(path.join(tmpdir(), 'ammd-import-'));
const home = process.cwd();

beforeAll(() => {
  process.chdir(folder);
  process.env.AMMD_WORKER_PYTHON = PYTHON;
  const questions = [1, 2].map((id) => JSON.stringify({ question_id: id, text: `Why ${id}?` }));
  writeFileSync('question.jsonl', `${questions.join('\n')}\n`);
  writeFileSync('broken.jsonl', `${questions[0]}\n{"text": 3}\n`);
});

afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
});

test('an import is written to data/NAME, with its notes on standard error', async () => {
  const { status, stdout, stderr } = await runCaptured('import', 'vicuna', '--from', 'question.jsonl');
  expect(status).toBe(0);
  expect(stdout.split('\n')).toEqual([
    'data/vicuna/test.jsonl  2 rows',
    'where they come from: data/vicuna/manifest.json',
    '',
  ]);
  expect(stderr).toContain('note: 2 questions have no reference');
  expect(stderr).toContain('expected 80 questions and found 2');
  expect(readdirSync('data/vicuna').sort()).toEqual(['manifest.json', 'test.jsonl']);
  expect(readFileSync('data/vicuna/test.jsonl', 'utf8').split('\n')).toHaveLength(3);
});

test('and described in one JSON object for scripts', async () => {
  const { stdout } = await runCaptured(
    ...['import', 'vicuna', '--from', 'question.jsonl', '--out', 'out', '--json'],
  );
  expect(JSON.parse(stdout)).toMatchObject({
    dataset: 'vicuna',
    out: path.join(process.cwd(), 'out'),
    rows: { test: 2 },
    files: [{ name: 'test.jsonl' }, { name: 'manifest.json' }],
  });
});

test('a bad line is named by file and line, and nothing is written', async () => {
  const { status, stderr } = await runCaptured('import', 'vicuna', '--from', 'broken.jsonl', '--out', 'bad');
  expect(status).toBe(4);
  expect(stderr).toMatch(/broken\.jsonl, line 2: expected text as text, found int/);
  expect(existsSync('bad')).toBe(false);
});

test('one that is interrupted leaves nothing, not even what it had begun', async () => {
  writeFileSync('long.jsonl', '{"text": "two words"}\n'.repeat(2_000_000));
  const running = runCaptured('import', 'openwebtext', '--from', 'long.jsonl', '--out', 'stopped/here');
  while (!existsSync('stopped') || readdirSync('stopped').length === 0) await sleep(20);
  process.emit('SIGINT', 'SIGINT');
  const { status, stderr } = await running;
  expect({ status, stderr }).toMatchObject({
    status: 130,
    stderr: expect.stringContaining('the import of openwebtext was stopped, and has written nothing'),
  });
  expect(readdirSync('stopped')).toEqual([]);
});

test('a name that no importer has lists those there are', async () => {
  const { status, stderr } = await runCaptured('import', 'doly');
  expect(status).toBe(2);
  expect(stderr).toMatch(/no importer 'doly'; there are dolly, self_instruct, vicuna/);
});
