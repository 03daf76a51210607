import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, withLogTail } from '../wire/connection.js';
import { WireError, WorkerFailure } from '../wire/errors.js';
import type { LivenessLimits } from '../wire/liveness.js';
import { type HelloMessage, LIMITS } from '../wire/protocol.gen.js';
import { Reception } from '../wire/reception.js';
import { type Endpoint, newEndpoint, type Transport } from './endpoint.js';
import { logSize, logTail } from './log_tail.js';
import { type Exit, exitInWords, spawnWorker, type WorkerProcess } from './spawn.js';

export interface WorkerOptions {
  /** Python with the worker's packages. */
  readonly python: string;
  /** Folder with the package `py_worker`. */
  readonly packageRoot: string;
  /** The worker's standard output and error are appended here. */
  readonly logFile: string;
  readonly transport?: Transport;
  /** Threads of tensor operations; 0 leaves the library's choice. */
  readonly threads?: number;
  /** Started instead of `python -m py_worker`. */
  readonly command?: readonly [string, ...string[]];
  readonly environment?: Readonly<Record<string, string>>;
  readonly handshakeMs?: number;
  readonly liveness?: LivenessLimits;
  /** How long it may take to leave after `bye`, until it is killed: the running operation finishes first. */
  readonly patienceMs?: number;
}

const DEFAULT_PATIENCE_MS = 10_000;

// Replies that the process sent just before it ended may still lie in the socket.
const DRAIN_MS = 50;

/** A running worker. It is never restarted: its state is gone, and the run resumes from a checkpoint. */
export interface Worker {
  readonly connection: Connection;
  readonly hello: HelloMessage;
  readonly pid: number;
  /** Resolves with the reason when the worker is gone, one way or another. */
  readonly failed: Promise<WorkerFailure>;
  /** Lets the running operation finish, ends the process and frees the endpoint. May be called twice. */
  stop(): Promise<void>;
  /** Ends the process now. */
  kill(): Promise<void>;
}

function startFailure(
  options: WorkerOptions,
  exit: Exit,
  refusal: WireError | undefined,
  tail: string,
): WorkerFailure {
  if (refusal !== undefined) return refusedFailure(refusal);
  const details = {
    ...(exit.exitCode === undefined ? {} : { exitCode: exit.exitCode }),
    ...(exit.signal === undefined ? {} : { signal: exit.signal }),
    logTail: tail,
  };
  const sentence = `The worker ended before it said hello (${exitInWords(exit)}).`;
  return new WorkerFailure('worker_start', withLogTail(sentence, tail), {
    ...details,
    hint: `\`ammd doctor\` tells what ${options.python} lacks; the worker's log is ${options.logFile}.`,
  });
}

function refusedFailure(refusal: WireError): WorkerFailure {
  return new WorkerFailure('worker_refused', `The worker was refused: ${refusal.message}`, {
    cause: refusal,
    ...(refusal.hint === undefined ? {} : { hint: refusal.hint }),
  });
}

async function introduction(
  options: WorkerOptions,
  reception: Reception,
  child: WorkerProcess,
  tail: () => string,
): Promise<Connection> {
  const handshakeMs = options.handshakeMs ?? LIMITS.handshakeMs;
  const timer = new AbortController();
  const late = sleep(handshakeMs, undefined, { signal: timer.signal }).then(() => {
    throw new WorkerFailure('worker_start', `The worker said no hello within ${handshakeMs} ms.`, {
      logTail: tail(),
    });
  });
  const gone = child.exited.then((exit) => {
    throw startFailure(options, exit, reception.refusal, tail());
  });
  try {
    return await Promise.race([reception.connection, gone, late]);
  } catch (error) {
    throw error instanceof WireError ? refusedFailure(error) : error;
  } finally {
    timer.abort();
    for (const loser of [gone, late]) loser.catch(() => {});
  }
}

/** Fails the connection when the process ends, and ends the process when the connection fails. */
function bindFates(connection: Connection, child: WorkerProcess, isStopping: () => boolean): void {
  void child.exited.then(async (exit) => {
    if (isStopping()) return;
    await sleep(DRAIN_MS);
    connection.fail('worker_exited', `The worker ended (${exitInWords(exit)})`, {
      ...(exit.exitCode === undefined ? {} : { exitCode: exit.exitCode }),
      ...(exit.signal === undefined ? {} : { signal: exit.signal }),
    });
  });
  void connection.failed.then(() => {
    // Silent, stuck or off the contract: it would not listen to anything milder.
    if (!isStopping()) child.kill();
  });
}

async function endProcess(child: WorkerProcess, patienceMs: number): Promise<void> {
  const late = sleep(patienceMs, undefined, { ref: false });
  await Promise.race([child.exited, late]);
  child.kill();
  await child.exited;
}

async function cleanUp(reception: Reception | undefined, endpoint: Endpoint): Promise<void> {
  await reception?.close();
  await endpoint.remove();
}

/**
 * Starts a worker and waits for its hello.
 *
 * @throws WorkerFailure `worker_start`: it could not be started, ended, or said nothing in time (with the last lines
 * of its log); `worker_refused`: version or token did not agree.
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const begin = logSize(options.logFile);
  const tail = () => logTail(options.logFile, begin);
  const endpoint = await newEndpoint(options.transport ?? 'ipc');
  let reception: Reception | undefined;
  let child: WorkerProcess | undefined;
  try {
    reception = await Reception.open(endpoint.address, {
      token: endpoint.token,
      logTail: tail,
      ...(endpoint.curve === undefined ? {} : { curve: endpoint.curve }),
      ...(options.liveness === undefined ? {} : { liveness: options.liveness }),
    });
    child = await spawnWorker({
      command: options.command ?? [options.python, '-m', 'py_worker'],
      endpoint: reception.endpoint,
      packageRoot: options.packageRoot,
      logFile: options.logFile,
      threads: options.threads ?? 0,
      environment: { ...options.environment, ...endpoint.environment },
    });
    const connection = await introduction(options, reception, child, tail);
    return superviseWorker(connection, child, options.patienceMs ?? DEFAULT_PATIENCE_MS, () =>
      cleanUp(reception, endpoint),
    );
  } catch (error) {
    child?.kill();
    await child?.exited;
    await cleanUp(reception, endpoint);
    throw error;
  }
}

function superviseWorker(
  connection: Connection,
  child: WorkerProcess,
  patienceMs: number,
  release: () => Promise<void>,
): Worker {
  let stopped: Promise<void> | undefined;
  bindFates(connection, child, () => stopped !== undefined);
  const stop = (allowed: number) => {
    stopped ??= (async () => {
      connection.leave();
      await endProcess(child, allowed);
      await connection.close();
      await release();
    })();
    return stopped;
  };
  return {
    connection,
    hello: connection.hello,
    pid: child.pid ?? connection.hello.pid,
    failed: connection.failed,
    stop: () => stop(patienceMs),
    kill: () => stop(0),
  };
}
