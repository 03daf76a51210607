import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { PYTHON, ROOT } from './tiny_run.js';

const folder = mkdtempSync(path.join(tmpdir(), 'ammd-bench-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('the bench of the controller drives whole steps of AMMD', () => {
  const file = path.join(folder, 'controller.json');
  const bench = path.join(ROOT, 'tests/bench/controller.mjs');
  const printed = execFileSync(process.execPath, [bench, '--device-ms', '1', '--steps', '2', '--out', file], {
    encoding: 'utf8',
    env: { ...process.env, AMMD_WORKER_PYTHON: PYTHON },
  });
  const { results } = JSON.parse(readFileSync(file, 'utf8'));
  expect(results).toHaveLength(1);
  const [result] = results;
  // generate, build, score, step_critic, step_student, end_step
  expect(result).toMatchObject({ device_ms: 1, steps: 2, operations: 6 });
  expect(result.each_step.run_ms).toHaveLength(2);
  // No more than two steps ahead.
  expect(result.in_flight.most).toBe(12);
  expect(result.in_flight.mean).toBeGreaterThan(1);
  expect(result.wire_bytes.median).toBeGreaterThan(1000);
  expect(printed.trimEnd().split('\n')).toHaveLength(3);
});
