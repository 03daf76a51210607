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
    'SweepError',
    'SweepFolder',
    'WireError',
    'WorkerFailure',
    'buildReport',
    'check',
    'configToYaml',
    'reportOn',
    'resolveConfig',
    'resolveSweep',
    'resume',
    'resumeRun',
    'resumeSweep',
    'run',
    'startRun',
    'sweep',
  ]);
});

test('a script resolves a shipped configuration and reads what it says', () => {
  const { config, hash } = ammd.resolveConfig('quickstart', ['stages.ammd.training.steps=3']);
  expect(config.stages.ammd?.training.steps).toBe(3);
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
});

test('an import prints nothing, writes nothing, leaves nothing running, and loads no ZeroMQ or renderer', () => {
  const folder = temporaryFolder();
  const script = `
    await import(${JSON.stringify(pathToFileURL('dist/ts/index.js').href)});
    const { sharedObjects } = process.report.getReport();
    process.on('exit', () => process.stdout.write(JSON.stringify({
      // msgpackr's decoder is native too, and does nothing until it is called.
      native: sharedObjects.filter((file) => file.endsWith('.node') && !file.includes('msgpackr')),
      listeners: ['SIGINT', 'SIGTERM', 'uncaughtException'].flatMap((name) => process.listeners(name)).length,
    })));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual({ native: [], listeners: 0 });
  expect(readdirSync(folder)).toEqual([]);
});
