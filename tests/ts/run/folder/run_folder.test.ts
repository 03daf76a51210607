import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { makeRunFolder, openRunFolder, RunFolder } from '../../../../ts/run/folder/run_folder.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';

const NOW = new Date('2026-03-04T05:06:07.890Z');
const home = process.cwd();
let folder = '';
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => process.chdir(home));

const begun = (run: string) => {
  mkdirSync(run, { recursive: true });
  writeFileSync(path.join(run, 'config.yaml'), '');
  writeFileSync(path.join(run, 'config.sha256'), '');
};

describe('the folder of a new run', () => {
  test('has the name, the date and the time in UTC; a second one of the same second gets a number', () => {
    process.chdir(folder);
    const names = [1, 2, 3].map(() => path.basename(makeRunFolder('demo', undefined, NOW).path));
    expect(names).toEqual(['demo-20260304-050607', 'demo-20260304-050607-2', 'demo-20260304-050607-3']);
    expect(statSync(path.join(folder, 'runs', 'demo-20260304-050607-3')).isDirectory()).toBe(true);
  });

  test('is --out where that is given, made with its parents, or empty', () => {
    const out = path.join(folder, 'a', 'b');
    expect(makeRunFolder('demo', out, NOW).path).toBe(out);
    expect(makeRunFolder('demo', out, NOW).path).toBe(out);
  });

  test('is never one that holds something', () => {
    writeFileSync(path.join(folder, 'notes.txt'), '');
    expect(() => makeRunFolder('demo', folder, NOW)).toThrow(
      expect.objectContaining({ code: 'run_exists', hint: 'give another --out' }),
    );
    begun(folder);
    expect(() => makeRunFolder('demo', folder, NOW)).toThrow(
      expect.objectContaining({ hint: expect.stringContaining(`ammd resume ${folder}`) }),
    );
  });

  test('is no file', () => {
    const out = path.join(folder, 'file');
    writeFileSync(out, '');
    expect(() => makeRunFolder('demo', out, NOW)).toThrow(expect.objectContaining({ code: 'run_exists' }));
  });
});

describe('an existing run', () => {
  test('has a config and its hash', () => {
    const run = path.join(folder, 'run');
    expect(() => openRunFolder(run)).toThrow(`${run} does not exist`);
    mkdirSync(run);
    writeFileSync(path.join(run, 'config.yaml'), '');
    expect(() => openRunFolder(run)).toThrow(
      expect.objectContaining({ code: 'run_not_found', message: expect.stringContaining('holds no run') }),
    );
    begun(run);
    expect(openRunFolder(run).path).toBe(run);
  });

  test('has one place for everything, all of them within it', () => {
    const run = new RunFolder(folder);
    const stage = run.stage('ammd').make();
    expect(existsSync(stage.checkpoints)).toBe(true);
    const { config, configHash, manifest, lock, workerLog, report, results, table } = run;
    const { metrics, evaluations, samples, tensorboard, checkpoints, student, done } = stage;
    const places = [config, configHash, manifest, lock, workerLog, report, results, table];
    const all = [...places, metrics, evaluations, samples, tensorboard, checkpoints, student, done];
    expect(new Set(all).size).toBe(all.length);
    expect(all.every((place) => place.startsWith(`${folder}${path.sep}`))).toBe(true);
  });
});
