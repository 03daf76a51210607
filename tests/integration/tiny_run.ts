import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { MessageLogEntry } from '../../ts/dispatch/client.js';

export const ROOT = path.resolve('.');
export const TINY = path.join(ROOT, 'tests/fixtures/configs/tiny.yaml');
export const PYTHON = process.env.AMMD_WORKER_PYTHON ?? path.join(ROOT, '.venv/bin/python');

export function jsonLines<Line>(file: string): readonly Line[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.slice(0, -1).map((line) => JSON.parse(line) as Line);
}

/**
 * A row without what the clock decides, and what kept responses save: a resumed run finds those it had drawn. Bytes on
 * the wire hold elapsed times, so their number may differ.
 */
export function withoutTimings(row: Record<string, unknown>): Record<string, unknown> {
  const { seconds: _seconds, wire_bytes: _bytes, drawn_tokens: _drawn, ...rest } = row;
  return rest;
}

const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Everything a stage leaves that must not depend on interruptions: all rows but timings, and the weights. */
export function outcomeOf(run: string, stage: string) {
  const folder = path.join(run, 'stages', stage);
  return {
    metrics: jsonLines<Record<string, unknown>>(path.join(folder, 'metrics.jsonl')).map(withoutTimings),
    evaluations: jsonLines<Record<string, unknown>>(path.join(folder, 'evaluations.jsonl')),
    samples: jsonLines<Record<string, unknown>>(path.join(folder, 'samples.jsonl')),
    weights: sha256(path.join(folder, 'student', 'model.safetensors')),
  };
}

export interface Controller {
  readonly process: ChildProcess;
  readonly exit: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  readonly stderr: () => string;
}

/** The command-line program in a process of its own, as a user starts it; `detached`, in a process group of its own. */
export function startCommand(args: readonly string[], { detached = false } = {}): Controller {
  const child = spawn(process.execPath, [path.join(ROOT, 'dist/ts/cli/main.js'), ...args], {
    env: { ...process.env, AMMD_WORKER_PYTHON: PYTHON },
    stdio: ['ignore', 'ignore', 'pipe'],
    detached,
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const exit = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal })),
  );
  return { process: child, exit, stderr: () => stderr };
}

/** Process ids of the workers that a controller has started and that still live. */
export function workersOf(controller: number): readonly number[] {
  const table = execFileSync('ps', ['-eo', 'pid=,ppid=,stat=,args='], { encoding: 'utf8' });
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, parent, state, ...args]) =>
        Number(parent) === controller && !state?.startsWith('Z') && args.includes('py_worker'),
    )
    .map(([pid]) => Number(pid));
}

export function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

export async function until(condition: () => boolean, what: string, seconds = 60): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export function trace(file: string): readonly MessageLogEntry[] {
  return jsonLines<MessageLogEntry>(file);
}
