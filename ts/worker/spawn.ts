import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';

export interface SpawnOptions {
  /** Program and first arguments, for example `['/env/bin/python', '-m', 'py_worker']`. */
  readonly command: readonly [string, ...string[]];
  /** Address to connect to. */
  readonly endpoint: string;
  /** Folder with the package `py_worker`. */
  readonly packageRoot: string;
  /** Its standard output and error are appended here. */
  readonly logFile: string;
  /** Threads of tensor operations; 0 leaves the library's choice. */
  readonly threads: number;
  readonly environment: Readonly<Record<string, string>>;
}

/** How a process ended. */
export interface Exit {
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  /** Why it never began. */
  readonly startError: string | undefined;
}

/** What execa says of an ended process. */
interface Ended {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly originalMessage?: string | undefined;
}

export interface WorkerProcess {
  readonly pid: number | undefined;
  readonly exited: Promise<Exit>;
  /** By SIGKILL: a worker leaves SIGTERM, which others send to the whole group, to its controller. */
  kill(): void;
}

/** What every Python process of ours is started with, beside the user's environment. */
export function pythonSettings(packageRoot: string): Readonly<Record<string, string>> {
  return {
    PYTHONPATH: pythonPath(packageRoot),
    PYTHONSAFEPATH: '1', // or a file of the user's folder, say queue.py, would be imported in place of a module
    PYTHONUNBUFFERED: '1', // the log's last lines are there when it crashes
    PYTHONDONTWRITEBYTECODE: '1', // an installed package writes nothing beside its code
  };
}

/** Where a process finds the package `py_worker`, before what the user's environment has. */
function pythonPath(packageRoot: string): string {
  const inherited = process.env.PYTHONPATH;
  return inherited ? `${packageRoot}${path.delimiter}${inherited}` : packageRoot;
}

function environmentOf({ packageRoot, threads, environment }: SpawnOptions): Record<string, string> {
  return {
    ...pythonSettings(packageRoot),
    PYTHONFAULTHANDLER: '1', // a traceback even of a segmentation fault
    ...(threads > 0 ? { OMP_NUM_THREADS: `${threads}`, RAYON_NUM_THREADS: `${threads}` } : {}), // the latter: tokenizers
    // Threads that spin long while they wait take the core from the one they wait for when anything else runs: with two
    // threads on two busy cores a step of the main job's teacher took 838 ms, and 228 ms with a spin count of 1,000. On a
    // quiet machine 10,000 is as fast as the library's choice (LOG.md).
    GOMP_SPINCOUNT: process.env.GOMP_SPINCOUNT ?? '10000',
    AMMD_CONTROLLER_PID: `${process.pid}`,
    ...environment,
  };
}

/**
 * A log for a process to append to: the file itself, not a pipe, so that it is whole however either process ends, and
 * costs this one nothing. Destroy it once the process has its own descriptor.
 */
export async function openLog(file: string): Promise<WriteStream> {
  const log = createWriteStream(file, { flags: 'a' });
  await once(log, 'open');
  return log;
}

/** How a process ended that was started with `reject: false`. */
export function exitOf({ exitCode, signal, originalMessage }: Ended): Exit {
  const startError = exitCode === undefined && signal === undefined ? originalMessage : undefined;
  return { exitCode, signal, startError };
}

/**
 * Starts the worker's process; a program that cannot be started shows in `exited`.
 *
 * @throws Error of the file system, when the log cannot be opened.
 */
export async function spawnWorker(options: SpawnOptions): Promise<WorkerProcess> {
  const [program, ...args] = options.command;
  const log = await openLog(options.logFile);
  const child = execa(program, [...args, '--connect', options.endpoint], {
    stdin: 'ignore',
    stdout: log,
    stderr: log,
    env: environmentOf(options),
    reject: false,
    buffer: false,
    forceKillAfterDelay: false,
  });
  log.destroy(); // the child has its own descriptor
  return {
    pid: child.pid,
    exited: child.then(exitOf),
    kill: () => void child.kill('SIGKILL'),
  };
}

/** For people: `exit status 1`, `killed by SIGKILL`. */
export function exitInWords({ exitCode, signal, startError }: Exit): string {
  if (startError !== undefined) return `it could not be started: ${startError}`;
  return signal === undefined ? `exit status ${exitCode}` : `killed by ${signal}`;
}
