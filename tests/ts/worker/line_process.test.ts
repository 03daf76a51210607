import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { type LineProcess, startLineProcess } from '../../../ts/worker/line_process.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';

let logFile = '';
beforeEach(() => {
  logFile = path.join(temporaryFolder(), 'log');
});

/** Starts a program of Node. */
const start = (program: string): Promise<LineProcess> =>
  startLineProcess({ command: [process.execPath, '-e', program], packageRoot: '/package', logFile });

const log = () => readFileSync(logFile, 'utf8');

describe('a process that lines are written to', () => {
  test('gets them in order, ends when there are no more, and what it says is in the log', async () => {
    const process_ = await start('process.stdin.pipe(process.stdout); console.error(process.env.PYTHONPATH)');
    for (let line = 0; line < 5000; line += 1) process_.write(`line ${line}`);
    expect(await process_.close(30_000)).toBe(true);
    expect(await process_.exited).toMatchObject({ exitCode: 0 });
    const lines = log().trimEnd().split('\n');
    expect(lines.filter((line) => line.startsWith('line'))).toEqual(
      Array.from({ length: 5000 }, (_, line) => `line ${line}`),
    );
    expect(lines).toContainEqual(expect.stringMatching(/^\/package(:|$)/));
  });

  test('that is gone takes nothing more, and nobody is hurt', async () => {
    const process_ = await start('console.error("lost the connection"); process.exit(4)');
    expect(await process_.exited).toMatchObject({ exitCode: 4, signal: undefined });
    for (let line = 0; line < 100; line += 1) process_.write('late');
    expect(await process_.close(1000)).toBe(true);
    expect(log()).toContain('lost the connection');
  });

  test('that reads nothing does not hold up the writer, whose memory has a bound', async () => {
    const process_ = await start('setInterval(() => {}, 1000)');
    const megabyte = 'x'.repeat(2 ** 20);
    const before = process.memoryUsage().arrayBuffers;
    for (let line = 0; line < 200; line += 1) process_.write(megabyte);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * 2 ** 20);
    expect(await process_.close(10)).toBe(false);
    expect(await process_.exited).toMatchObject({ signal: 'SIGKILL' });
  });

  test('that cannot be started is told', async () => {
    const process_ = await startLineProcess({
      command: ['/does/not/exist'],
      packageRoot: '/package',
      logFile,
    });
    process_.write('line');
    expect((await process_.exited).startError).toContain('ENOENT');
    expect(await process_.close(1000)).toBe(true);
  });
});
