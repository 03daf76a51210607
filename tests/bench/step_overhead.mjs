// How much of a step is not the worker's computation, and how many bytes it puts on the wire.
// Usage: node tests/bench/step_overhead.mjs RUN…   (run folders; prints one JSON line a stage)
//
// A step's wall clock is measured by the controller from reply to reply; the worker reports how long each operation
// ran. The rest is codec, transport, scheduling on both sides and waiting: `overhead`. The first 5 steps of a stage are
// left out (caches fill), and so is each step after an evaluation or a checkpoint, whose clock begins anew.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const WARM_UP_STEPS = 5;
const WORKER_PHASES = ['generate', 'build', 'teacher', 'prepass', 'critic', 'student', 'end'];

/** @param {readonly number[]} values @param {number} q */
function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

/** @param {string} file */
function readRows(file) {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.slice(WARM_UP_STEPS).map((line) => JSON.parse(line));
}

/** @param {string} run @param {string} stage */
function measureStage(run, stage) {
  const rows = readRows(path.join(run, 'stages', stage, 'metrics.jsonl'));
  const worker = rows.map((row) => WORKER_PHASES.reduce((sum, phase) => sum + row.seconds[phase], 0));
  const total = rows.map((row) => row.seconds.total);
  const shares = rows.map((_, index) => Math.max(0, 1 - worker[index] / total[index]));
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  return {
    run: path.basename(path.resolve(run)),
    stage,
    steps: rows.length,
    step_ms: { median: quantile(total, 0.5) * 1000 },
    overhead_share: {
      median: quantile(shares, 0.5),
      p10: quantile(shares, 0.1),
      p90: quantile(shares, 0.9),
      of_all_time: 1 - sum(worker) / sum(total),
    },
    wire_bytes: { median: quantile(rows.map((row) => row.wire_bytes), 0.5) },
  };
}

for (const run of process.argv.slice(2))
  for (const stage of readdirSync(path.join(run, 'stages'))) console.log(JSON.stringify(measureStage(run, stage)));
