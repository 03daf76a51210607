import path from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { type DialogueProcess, startDialogue } from '../../../ts/worker/dialogue_process.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';

let logFile = '';
beforeEach(() => {
  logFile = path.join(temporaryFolder(), 'log');
});

/** Starts a program of Node that sees `lines`, the lines it is given. */
const start = (program: string): Promise<DialogueProcess> =>
  startDialogue({
    name: 'the search',
    setUp: 'install it',
    command: [
      process.execPath,
      '-e',
      `const lines = require('node:readline').createInterface({ input: process.stdin }); ${program}`,
    ],
    packageRoot: '/package',
    logFile,
  });

const ECHO = "lines.on('line', (line) => console.log('to ' + line));";

describe('a process that is asked', () => {
  test('answers in order, also what was asked before the last answer came', async () => {
    const dialogue = await start(ECHO);
    const questions = Array.from({ length: 100 }, (_, index) => `question ${index}`);
    expect(await Promise.all(questions.map((question) => dialogue.ask(question)))).toEqual(
      questions.map((question) => `to ${question}`),
    );
    expect(await dialogue.close()).toMatchObject({ exitCode: 0 });
  });

  test('answers what it was asked before its input was closed', async () => {
    const dialogue = await start(ECHO);
    const answer = dialogue.ask('last');
    await dialogue.close();
    expect(await answer).toBe('to last');
  });

  test('that ends fails what is open and what comes later, with its last words', async () => {
    const dialogue = await start(
      "lines.once('line', () => { console.error('Traceback\\nModuleNotFoundError: optuna'); process.exit(1); });",
    );
    const open = [dialogue.ask('first'), dialogue.ask('second')];
    for (const outcome of await Promise.allSettled(open))
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: {
          code: 'worker_exited',
          message: 'the search ended (exit status 1): ModuleNotFoundError: optuna',
          exitCode: 1,
          hint: 'install it',
        },
      });
    await expect(dialogue.ask('late')).rejects.toMatchObject({ code: 'worker_exited' });
    const next = await start('process.exit(2)');
    await expect(next.ask('again')).rejects.toMatchObject({
      message: 'the search ended (exit status 2)',
      hint: `its log is ${logFile}`,
    });
  });

  test('that cannot be started is told', async () => {
    const dialogue = await startDialogue({
      name: 'the search',
      setUp: 'install it',
      command: ['/does/not/exist'],
      packageRoot: '/package',
      logFile,
    });
    await expect(dialogue.ask('question')).rejects.toThrow(
      /^the search ended \(it could not be started: .*ENOENT/,
    );
  });
});
