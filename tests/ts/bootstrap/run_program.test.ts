import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { runProgram } from '../../../ts/bootstrap/run_program.mjs';
import { temporaryFolder } from './temporary_folder.js';

const options = (cwd: string) => ({
  cwd,
  log: join(cwd, 'state/log'),
  what: 'Doing it',
  remedy: 'Try again.',
});

test('what a program says goes into the log; nothing is shown when it ends well', async () => {
  const folder = temporaryFolder();
  await runProgram('sh', ['-c', 'echo out; echo err >&2'], options(folder));
  expect(readFileSync(join(folder, 'state/log'), 'utf8')).toMatch(/^\n\$ sh -c .*\n(out\nerr|err\nout)\n$/);
});

test('a failure shows the end of what it said, the exit code and the remedy', async () => {
  const folder = temporaryFolder();
  const run = runProgram('sh', ['-c', 'seq 1 99; exit 3'], options(folder));
  await expect(run).rejects.toMatchObject({
    message: expect.stringMatching(
      /^Doing it failed \(exit code 3\)\.\n75\n76\n[\s\S]*\n99\n\(everything it said/,
    ),
    remedy: 'Try again.',
  });
});

test('a signal to the set-up ends the program that it runs', async () => {
  const folder = temporaryFolder();
  const script = `
    import { runProgram } from '${join(process.cwd(), 'ts/bootstrap/run_program.mjs')}';
    const options = ${JSON.stringify(options(folder))};
    await runProgram('sh', ['-c', 'echo $$ > pid; exec sleep 60'], options).catch((e) => console.log(e.message));
  `;
  const setUp = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  while (!existsSync(join(folder, 'pid')) || readFileSync(join(folder, 'pid'), 'utf8') === '')
    await sleep(10);
  const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'));
  setUp.kill('SIGTERM');
  const [said] = await once(setUp.stdout, 'data');
  expect(String(said)).toContain('Doing it failed (SIGTERM)');
  await once(setUp, 'exit');
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});
