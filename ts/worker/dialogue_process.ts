import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { WorkerFailure } from '../wire/errors.js';
import type { LineProcessOptions } from './line_process.js';
import { logSize, logTail } from './log_tail.js';
import { type Exit, exitInWords, exitOf, openLog, pythonSettings } from './spawn.js';

export interface DialogueOptions extends LineProcessOptions {
  /** What it is, for errors: `the search`. */
  readonly name: string;
  /** What to do when a Python package is missing, as one sentence. */
  readonly setUp: string;
}

/** A process that answers each line with a line, in order. */
export interface DialogueProcess {
  /** @throws WorkerFailure `worker_exited` when it ends, or has ended, without an answer. */
  ask(line: string): Promise<string>;
  /** Closes its input, so that it ends by itself once it has answered everything. */
  close(): Promise<Exit>;
}

interface Waiting {
  readonly resolve: (line: string) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Starts a process to ask; a program that cannot be started shows in the first question.
 *
 * @throws Error of the file system, when the log cannot be opened.
 */
export async function startDialogue(options: DialogueOptions): Promise<DialogueProcess> {
  const [program, ...args] = options.command;
  const begin = logSize(options.logFile);
  const log = await openLog(options.logFile);
  const child = execa(program, args, {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: log,
    env: pythonSettings(options.packageRoot),
    reject: false,
    buffer: false,
  });
  log.destroy(); // the child has its own descriptor
  child.stdin.on('error', () => {}); // a pipe whose reader is gone; the exit says more
  const waiting: Waiting[] = [];
  let failure: WorkerFailure | undefined;
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => waiting.shift()?.resolve(line));
  const read = new Promise((resolve) => lines.once('close', resolve));
  const exited = child.then(async (result) => {
    await read; // answers that it gave before it ended
    const exit = exitOf(result);
    failure = failureOf(options, begin, exit);
    for (const { reject } of waiting.splice(0)) reject(failure);
    return exit;
  });
  return {
    ask: (line) =>
      new Promise((resolve, reject) => {
        if (failure !== undefined) return reject(failure);
        waiting.push({ resolve, reject });
        child.stdin.write(`${line}\n`);
      }),
    close: () => {
      child.stdin.end();
      return exited;
    },
  };
}

function failureOf({ name, logFile, setUp }: DialogueOptions, begin: number, exit: Exit): WorkerFailure {
  const said = logTail(logFile, begin);
  const last = said.split('\n').at(-1) ?? '';
  return new WorkerFailure(
    'worker_exited',
    `${name} ended (${exitInWords(exit)})${last === '' ? '' : `: ${last}`}`,
    {
      hint: said.includes('ModuleNotFoundError') ? setUp : `its log is ${logFile}`,
      ...(exit.exitCode === undefined ? {} : { exitCode: exit.exitCode }),
      ...(exit.signal === undefined ? {} : { signal: exit.signal }),
      logTail: said,
    },
  );
}
