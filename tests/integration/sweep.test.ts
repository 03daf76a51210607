import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { resolveConfig } from '../../ts/config/resolve.js';
import type { TrialRow } from '../../ts/metrics/sweep_rows.js';
import { resolveSweep } from '../../ts/sweep/resolve.js';
import { runSweep, type SweepResult } from '../../ts/sweep/sweep.js';
import { jsonLines, PYTHON, startCommand, TINY, until } from './tiny_run.js';

const LR = 'stages.ammd.training.lr.from';
const SWEEP = `name: tiny-sweep
run: ${TINY}
stage: ammd
set:
  stages.ammd.evaluation.best: null
space:
  ${LR}: {log_uniform: [1.0e-4, 1.0e-2]}
  stages.ammd.method.adversary.turns: {int: [1, 2]}
search: {kind: tpe, trials: 3, startup_trials: 2}
pruning: {min_steps: 3, reduction_factor: 2}
objective: {metric: forward_kl}
`;

const folder = mkdtempSync(path.join(tmpdir(), 'ammd-sweep-'));
const file = path.join(folder, 'sweep.yaml');
const home = process.cwd();
let whole: SweepResult;

/** Rows without what the clock decides. */
const outcomes = (rows: readonly TrialRow[]) => rows.map(({ seconds: _seconds, ...row }) => row);
const rowsIn = (out: string) => jsonLines<TrialRow>(path.join(out, 'trials.jsonl'));

beforeAll(async () => {
  process.chdir(folder); // for the cache of tokenized data
  process.env.AMMD_WORKER_PYTHON = PYTHON;
  writeFileSync(file, SWEEP);
  whole = await runSweep(resolveSweep(file), path.join(folder, 'whole'), { emit: () => {} });
});

afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
});

describe('a sweep with the real search and worker', () => {
  test('completes or prunes every trial, each with what was seen during training', () => {
    expect(whole.rows.map(({ number }) => number)).toEqual([0, 1, 2]);
    for (const { state, value, intermediate } of whole.rows) {
      expect(['complete', 'pruned']).toContain(state);
      expect(value === null).toBe(state === 'pruned');
      expect(intermediate[0]?.step).toBe(3);
    }
  });

  test('trains the teacher once, and writes a best run that can be trained', () => {
    expect(new Set(whole.rows.map(({ hash }) => hash)).size).toBe(3);
    const { best, trials } = whole.summary;
    expect(trials.complete).toBeGreaterThan(0);
    const complete = whole.rows.flatMap(({ value }) => (value === null ? [] : [value]));
    expect(best?.value).toBe(Math.min(...complete));
    const { config } = resolveConfig(whole.folder.best);
    expect(config.stages.ammd?.training.lr).toMatchObject({ from: best?.parameters[LR] });
    expect(config.stages.ammd?.data.test).toEqual(['seen']);
  });

  test('that is killed while a trial trains ends, continued, with the same rows', async () => {
    const out = path.join(folder, 'killed');
    const first = startCommand(['sweep', file, '--out', out, '--json']);
    await until(() => rowsIn(out).length > 0, 'the first trial', 200);
    const steps = () =>
      jsonLines(path.join(out, 'stages', second(), 'stages', 'ammd', 'metrics.jsonl')).length;
    const second = () => whole.rows[1]?.hash?.slice(0, 16) ?? '';
    await until(() => steps() > 2, 'the second trial', 100);
    first.process.kill('SIGKILL');
    await first.exit;
    const again = startCommand(['sweep', out, '--json']);
    expect((await again.exit).code).toBe(0);
    expect(outcomes(rowsIn(out))).toEqual(outcomes(whole.rows));
    expect(existsSync(path.join(out, 'report.html'))).toBe(true);
  });
});
