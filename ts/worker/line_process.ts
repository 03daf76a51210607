import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { type Exit, exitOf, openLog, pythonSettings } from './spawn.js';

export interface LineProcessOptions {
  /** Program and its arguments, for example `['/env/bin/python', '-m', 'py_worker.metrics.wandb_writer']`. */
  readonly command: readonly [string, ...string[]];
  /** Folder with the package `py_worker`. */
  readonly packageRoot: string;
  /** Its standard output and error are appended here. */
  readonly logFile: string;
}

/** A process that reads lines and says nothing back. However it fares, the one who writes goes on. */
export interface LineProcess {
  /** Hands a line over and returns at once; a process that is gone, or too far behind, does not get it. */
  write(line: string): void;
  /** Resolves with how it ended; never rejects. */
  readonly exited: Promise<Exit>;
  /**
   * Closes its input, so that it ends by itself; what has not ended after `patienceMs` is ended.
   *
   * @returns whether it ended by itself.
   */
  close(patienceMs: number): Promise<boolean>;
}

// What waits for a process that does not keep up lies in this one's memory.
const LARGEST_BACKLOG_BYTES = 64 * 2 ** 20;

/**
 * Starts a process to write lines to; a program that cannot be started shows in `exited`.
 *
 * @throws Error of the file system, when the log cannot be opened.
 */
export async function startLineProcess(options: LineProcessOptions): Promise<LineProcess> {
  const [program, ...args] = options.command;
  const log = await openLog(options.logFile);
  const child = execa(program, args, {
    stdin: 'pipe',
    stdout: log,
    stderr: log,
    env: pythonSettings(options.packageRoot),
    reject: false,
    buffer: false,
  });
  log.destroy(); // the child has its own descriptor
  // A pipe whose reader is gone; the exit says more.
  child.stdin.on('error', () => {});
  const exited = child.then(exitOf);
  return {
    exited,
    write: (line) => {
      if (child.stdin.writable && child.stdin.writableLength < LARGEST_BACKLOG_BYTES)
        child.stdin.write(`${line}\n`);
    },
    close: async (patienceMs) => {
      child.stdin.end();
      const timer = new AbortController();
      const ended = await Promise.race([
        exited.then(() => true),
        sleep(patienceMs, false, { signal: timer.signal }),
      ]);
      timer.abort();
      if (!ended) child.kill('SIGKILL');
      return ended;
    },
  };
}
