import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { expect, test } from '@jest/globals';
import * as ammd from '../../ts/index.js';
import { temporaryFolder } from './bootstrap/temporary_folder.js';

test('what the package exports to scripts; a name that goes breaks them', () => {
  expect(Object.keys(ammd).sort()).toEqual([
    'AmmdError',
    'ConfigError',
    'JournalError',
    'ReportError',
    'RunError',
    'RunFolder',
    'WireError',
    'WorkerFailure',
    'buildReport',
    'check',
    'configToYaml',
    'resolveConfig',
    'resume',
    'resumeRun',
    'run',
    'startRun',
  ]);
});

test('a script resolves a shipped configuration and reads what it says', () => {
  const { config, hash } = ammd.resolveConfig('quickstart', ['stages.ammd.training.steps=3']);
  expect(config.stages.ammd?.training.steps).toBe(3);
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
});

test('an import has no effects: nothing printed, written, left running, or loaded as native code', () => {
  const folder = temporaryFolder();
  const script = `
    const before = process.getActiveResourcesInfo().length;
    await import(${JSON.stringify(pathToFileURL('dist/ts/index.js').href)});
    const { sharedObjects } = process.report.getReport();
    const handles = process.getActiveResourcesInfo().length - before;
    const signals = ['SIGINT', 'SIGTERM', 'uncaughtException', 'exit'].flatMap((name) => process.listeners(name));
    process.on('exit', () => process.stdout.write(JSON.stringify({
      handles, signals: signals.length, native: sharedObjects.filter((file) => file.endsWith('.node')),
    })));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual({ handles: 0, signals: 0, native: [] });
  expect(readdirSync(folder)).toEqual([]);
});
