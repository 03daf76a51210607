import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { configToYaml, resolveConfig } from '../../../ts/config/resolve.js';
import type { RunEvent } from '../../../ts/metrics/events.js';
import { RunFolder } from '../../../ts/run/folder/run_folder.js';
import { resumeRun, startRun } from '../../../ts/run/run.js';

const TINY = 'tests/fixtures/configs/tiny.yaml';

let scratch: string;
let events: RunEvent[];
const options = () => ({
  // No worker can start: what is tested here must be decided before one is needed.
  python: path.join(scratch, 'no-such-python'),
  emit: (event: RunEvent) => void events.push(event),
  report: (folder: RunFolder) => writeFileSync(folder.report, 'page'),
});

/** A run folder as `startRun` leaves it, with the stages named as done. */
function makeRun(done: readonly string[]): RunFolder {
  const folder = new RunFolder(path.join(scratch, 'run'));
  const { config, hash } = resolveConfig(TINY);
  for (const stage of Object.keys(config.stages)) folder.stage(stage).make();
  writeFileSync(folder.config, configToYaml(config));
  writeFileSync(folder.configHash, `${hash}\n`);
  writeFileSync(folder.manifest, '{}');
  for (const stage of done) writeFileSync(folder.stage(stage).done, '{}');
  return folder;
}

beforeEach(() => {
  scratch = mkdtempSync(path.join(tmpdir(), 'ammd-run-'));
  events = [];
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

describe('resuming', () => {
  test('a folder without a run is told', async () => {
    await expect(resumeRun(scratch, options())).rejects.toMatchObject({ code: 'run_not_found' });
  });

  test('a configuration that was edited is refused, and nothing is touched', async () => {
    const folder = makeRun([]);
    writeFileSync(folder.config, configToYaml(resolveConfig(TINY, ['seed=4']).config));
    await expect(resumeRun(folder.path, options())).rejects.toMatchObject({ code: 'config_changed' });
    expect(events).toEqual([]);
  });

  test('where and how long it runs may be changed', async () => {
    const folder = makeRun([]);
    const elsewhere = ['worker.threads=2', 'worker.buffer_budget_bytes=1000', 'max_hours=1'];
    writeFileSync(folder.config, configToYaml(resolveConfig(TINY, elsewhere).config));
    await expect(resumeRun(folder.path, options())).rejects.toMatchObject({ code: 'worker_start' });
  });

  test('a finished run is told as finished', async () => {
    const folder = makeRun(['teacher', 'ammd']);
    writeFileSync(folder.report, 'page');
    await expect(resumeRun(folder.path, options())).rejects.toMatchObject({ code: 'run_finished' });
  });

  test('a run that lacks only its report gets it, without a worker', async () => {
    const folder = makeRun(['teacher', 'ammd']);
    await resumeRun(folder.path, options());
    expect(events.map(({ kind }) => kind)).toEqual(['run_started', 'run_finished']);
  });
});

describe('a worker that cannot start', () => {
  test('is told, and its log stays', async () => {
    const out = path.join(scratch, 'new');
    const failure = startRun(resolveConfig(TINY), out, options());
    await expect(failure).rejects.toMatchObject({ code: 'worker_start' });
    expect(existsSync(new RunFolder(out).workerLog)).toBe(true);
  });

  test('leaves a run that resume begins from scratch, and --out says so', async () => {
    const out = path.join(scratch, 'new');
    const start = () => startRun(resolveConfig(TINY), out, options());
    await expect(start()).rejects.toMatchObject({ code: 'worker_start' });
    await expect(start()).rejects.toMatchObject({
      code: 'run_exists',
      hint: expect.stringContaining(`ammd resume ${out}`),
    });
    events = [];
    await expect(resumeRun(out, options())).rejects.toMatchObject({ code: 'worker_start' });
    expect(events).toMatchObject([{ kind: 'run_started', stages: [{ name: 'teacher' }, { name: 'ammd' }] }]);
  });
});
