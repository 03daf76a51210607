import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll } from '@jest/globals';
import { Pipeline, type PipelineOptions } from '../../../ts/dispatch/pipeline.js';
import type { LivenessLimits } from '../../../ts/wire/liveness.js';
import { startWorker, type Worker, type WorkerOptions } from '../../../ts/worker/supervise.js';

export const ROOT = path.resolve('.');
const FIXTURES = path.join(ROOT, 'tests/fixtures');
const LOCAL_PYTHON = path.join(ROOT, '.venv/bin/python');
export const PYTHON = process.env.AMMD_WORKER_PYTHON ?? (existsSync(LOCAL_PYTHON) ? LOCAL_PYTHON : 'python3');

/** So quick that a dead worker is noticed in a test's time, and so slow that a busy machine is not taken for one. */
export const QUICK: LivenessLimits = { heartbeatMs: 50, livenessMs: 1000, stallMs: 60_000 };

let folder = '';
const workers: Worker[] = [];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'ammd-test-'));
});
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.kill();
});
afterAll(() => rm(folder, { recursive: true }));

export function logFile(): string {
  return path.join(folder, 'worker.log');
}

/** A process of the fake worker (see tests/fixtures/fake_worker.py for scripts); ended after the test. */
export async function startFake(script: object = {}, options: Partial<WorkerOptions> = {}): Promise<Worker> {
  const worker = await startWorker({
    python: PYTHON,
    packageRoot: FIXTURES,
    logFile: logFile(),
    command: [PYTHON, path.join(FIXTURES, 'fake_worker.py'), '--script', JSON.stringify(script)],
    ...options,
  });
  workers.push(worker);
  return worker;
}

export async function openFake(
  script: object = {},
  options: Partial<WorkerOptions> = {},
  pipeline: PipelineOptions = {},
) {
  const worker = await startFake(script, options);
  return { worker, client: new Pipeline(worker.connection, pipeline) };
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
