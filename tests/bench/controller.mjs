// What the controller costs a device: its idle share, requests in flight and bytes a step, with a worker that computes
// nothing but takes its time (tests/fixtures/fake_worker.py).
//
//     node tests/bench/controller.mjs --out controller.json
//     node tests/bench/controller.mjs --device-ms 1 --steps 200
//
// The run loop of `ammd train`, from plans to rows, drives AMMD as methods.yaml has it, built (dist/). Idle is what the
// worker's operation thread waits before a request; what it runs is a sleep, so an operation of 1 ms lasts somewhat
// longer.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { resolveConfig } from '../../dist/ts/config/resolve.js';
import { Pipeline } from '../../dist/ts/dispatch/pipeline.js';
import { planRun } from '../../dist/ts/plan/run.js';
import { withRows } from '../../dist/ts/plan/stage.js';
import { trainLoop } from '../../dist/ts/run/stage/train_loop.js';
import { INITIAL_STATE } from '../../dist/ts/schedule/state.js';
import { startWorker } from '../../dist/ts/worker/supervise.js';

const ROOT = path.resolve(fileURLToPath(import.meta.url), '../../..');
const FIXTURES = path.join(ROOT, 'tests/fixtures');
const PYTHON = process.env.AMMD_WORKER_PYTHON ?? path.join(ROOT, '.venv/bin/python');
const WARM_UP_STEPS = 5;
const ROWS = 512;

/** @param {readonly number[]} values @param {number} q between the values, linearly */
function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const place = q * (sorted.length - 1);
  const low = sorted[Math.floor(place)] ?? Number.NaN;
  return low + (place % 1) * ((sorted[Math.ceil(place)] ?? low) - low);
}

const spread = (values) => ({
  median: quantile(values, 0.5),
  q1: quantile(values, 0.25),
  q3: quantile(values, 0.75),
  p10: quantile(values, 0.1),
  p90: quantile(values, 0.9),
});

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** Requests in flight, weighed by time. */
class InFlight {
  now = 0;
  most = 0;
  #weighed = 0;
  #since = performance.now();
  #start = this.#since;

  /** @param {number} change */
  move(change) {
    const now = performance.now();
    this.#weighed += this.now * (now - this.#since);
    this.#since = now;
    this.now += change;
    this.most = Math.max(this.most, this.now);
  }

  mean() {
    this.move(0);
    return this.#weighed / (this.#since - this.#start);
  }
}

/** The plan of AMMD with so many steps; a fake response of one token takes no longer than any other operation. */
function stageOf(steps) {
  const one = 'stage_defaults.rollout.sampling.max_new_tokens=1';
  const resolved = resolveConfig(path.join(ROOT, 'tests/bench/methods.yaml'), [
    one,
    `stage_defaults.training.steps=${steps}`,
  ]);
  const stage = planRun(resolved).stages.find(({ name }) => name === 'ammd');
  return withRows(stage, { train: ROWS });
}

/** Drives the worker through all steps. @returns every reply, by step, and what was in flight. */
async function drive(worker, stage) {
  const inFlight = new InFlight();
  const log = ({ direction, kind }) => {
    if (kind !== 'cancel') inFlight.move(direction === 'sent' ? 1 : -1);
  };
  const pipeline = new Pipeline(worker.connection, { log });
  const replies = [];
  const call = async (op, args, options) => {
    const reply = await pipeline.call(op, args, options);
    replies.push(reply);
    return reply;
  };
  const client = { call, traffic: () => pipeline.traffic() };
  const rows = [];
  await trainLoop({
    client,
    stage,
    from: INITIAL_STATE,
    policyVersion: 0,
    now: () => performance.now(),
    onRow: (row) => rows.push(row),
    atBarrier: async ({ state }) => state,
    signal: undefined,
  });
  return { replies, rows, inFlight };
}

/** @param {number} deviceMs @param {number} steps @param {string} folder */
async function measure(deviceMs, steps, folder) {
  const script = JSON.stringify({ at: { '*': { ms: deviceMs } } });
  const worker = await startWorker({
    python: PYTHON,
    packageRoot: FIXTURES,
    logFile: path.join(folder, `worker-${deviceMs}.log`),
    command: [PYTHON, path.join(FIXTURES, 'fake_worker.py'), '--script', script],
  });
  try {
    const { replies, rows, inFlight } = await drive(worker, stageOf(steps + WARM_UP_STEPS));
    const perStep = replies.length / rows.length;
    const counted = rows.map((_, step) => replies.slice(step * perStep, (step + 1) * perStep)).slice(WARM_UP_STEPS);
    const idle = counted.map((step) => sum(step.map((reply) => reply.idleMs)));
    const run = counted.map((step) => sum(step.map((reply) => reply.runMs)));
    const share = idle.map((ms, step) => ms / (ms + run[step]));
    return {
      device_ms: deviceMs,
      steps: counted.length,
      operations: perStep,
      operation_ms: spread(counted.flatMap((step) => step.map((reply) => reply.runMs))),
      idle_share: { ...spread(share), of_all_time: sum(idle) / (sum(idle) + sum(run)) },
      idle_ms: spread(idle),
      in_flight: { mean: inFlight.mean(), most: inFlight.most },
      wire_bytes: spread(rows.slice(WARM_UP_STEPS).map((row) => row.wire_bytes)),
      each_step: { idle_share: share, idle_ms: idle, run_ms: run },
    };
  } finally {
    await worker.stop();
  }
}

function print(results) {
  const percent = (share) => `${(share * 100).toFixed(2)} %`;
  const inWords = ({ median, q1, q3 }) => `${percent(median)} (${percent(q1)} to ${percent(q3)})`;
  console.log('| device time an operation | idle | of all time | in flight, mean (most) | bytes a step |');
  console.log('| --- | --- | --- | --- | --- |');
  for (const { operation_ms, idle_share, in_flight, wire_bytes } of results) {
    const flight = `${in_flight.mean.toFixed(1)} (${in_flight.most})`;
    const cells = [`${operation_ms.median.toFixed(2)} ms`, inWords(idle_share), percent(idle_share.of_all_time)];
    console.log(`| ${[...cells, flight, Math.round(wire_bytes.median)].join(' | ')} |`);
  }
}

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    quick: { type: 'boolean', default: false },
    steps: { type: 'string' },
    'device-ms': { type: 'string', multiple: true, default: ['1', '100'] },
  },
});
const steps = Number(values.steps ?? (values.quick ? 3 : 30));
const folder = mkdtempSync(path.join(os.tmpdir(), 'ammd-bench-'));
try {
  const results = [];
  for (const ms of values['device-ms']) results.push(await measure(Number(ms), steps, folder));
  const about = {
    bench: 'controller',
    command: ['node', 'tests/bench/controller.mjs', ...process.argv.slice(2)].join(' '),
    date: new Date().toISOString(),
    machine: { cpu: os.cpus()[0]?.model, cores: os.availableParallelism(), platform: os.version(), load: os.loadavg() },
    versions: { node: process.versions.node },
  };
  if (values.out !== undefined) {
    mkdirSync(path.dirname(path.resolve(values.out)), { recursive: true });
    writeFileSync(values.out, `${JSON.stringify({ ...about, results }, null, 1)}\n`);
  }
  print(results);
} finally {
  rmSync(folder, { recursive: true });
}
