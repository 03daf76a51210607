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

test('an import prints nothing, writes nothing, leaves nothing running, and does not load ZeroMQ', () => {
  const folder = temporaryFolder();
  const script = `
    await import(${JSON.stringify(pathToFileURL('dist/ts/index.js').href)});
    const { sharedObjects } = process.report.getReport();
    process.on('exit', () => process.stdout.write(JSON.stringify({
      zeromq: sharedObjects.filter((file) => file.includes('zeromq')),
      listeners: ['SIGINT', 'SIGTERM', 'uncaughtException'].flatMap((name) => process.listeners(name)).length,
    })));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual({ zeromq: [], listeners: 0 });
  expect(readdirSync(folder)).toEqual([]);
});
