import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { build } from '../../../ts/bootstrap/build.mjs';
import { nodeModules } from '../../../ts/bootstrap/node_modules.mjs';
import { findPlaces } from '../../../ts/bootstrap/places.mjs';
import { temporaryFolder } from './temporary_folder.js';

// Stand for tsc and npm: each writes one file where the real one writes thousands.
const FAKE_TSC = `
const { mkdirSync, writeFileSync, readFileSync } = require('node:fs');
const out = process.argv.at(-1);
mkdirSync(out);
const source = readFileSync('ts/main.ts', 'utf8');
writeFileSync(out + '/main.js', source);
if (source.includes('wrong')) { console.log('ts/main.ts(1,1): error TS2322'); process.exit(2); }
`;
const FAKE_NPM = '#!/bin/sh\nrm -rf node_modules; mkdir node_modules; echo "$*" > node_modules/called\n';

const path = process.env.PATH;
let root: string;

beforeEach(() => {
  root = temporaryFolder({
    'tsconfig.json': '{}',
    'package-lock.json': '{}',
    'ts/main.ts': 'one',
    'node_modules/typescript/bin/tsc': FAKE_TSC,
    'bin/npm': FAKE_NPM,
  });
  chmodSync(join(root, 'bin/npm'), 0o755);
  process.env.PATH = `${join(root, 'bin')}${delimiter}${path}`;
});

afterEach(() => {
  process.env.PATH = path;
});

describe('build', () => {
  test('compiles once, and again when a source changes', async () => {
    const step = build(findPlaces(root, {}));
    expect(step.ready()).toBe(false);
    await step.run();
    expect(step.ready()).toBe(true);
    writeFileSync(join(root, 'dist/left_over.js'), '');
    writeFileSync(join(root, 'ts/main.ts'), 'two');
    expect(step.ready()).toBe(false);
    await step.run();
    expect(readFileSync(join(root, 'dist/main.js'), 'utf8')).toBe('two');
    expect(existsSync(join(root, 'dist/left_over.js'))).toBe(false);
  });

  test('a source that does not compile is shown; the old build stays, but does not count', async () => {
    const step = build(findPlaces(root, {}));
    await step.run();
    writeFileSync(join(root, 'ts/main.ts'), 'wrong');
    await expect(step.run()).rejects.toThrow('ts/main.ts(1,1): error TS2322');
    expect(readFileSync(join(root, 'dist/main.js'), 'utf8')).toBe('one');
    expect(step.ready()).toBe(false);
  });

  test('there is nothing to build in an installed package', () => {
    rmSync(join(root, 'tsconfig.json'));
    expect(build(findPlaces(root, {})).ready()).toBe(true);
  });
});

describe('nodeModules', () => {
  test('are installed once, and again when the lock file changes or the folder goes', async () => {
    const step = nodeModules(findPlaces(root, {}));
    expect(step.ready()).toBe(false);
    await step.run();
    expect(readFileSync(join(root, 'node_modules/called'), 'utf8')).toMatch(/^ci --include=dev/);
    expect(step.ready()).toBe(true);
    writeFileSync(join(root, 'package-lock.json'), '{"a": 1}');
    expect(step.ready()).toBe(false);
    await step.run();
    rmSync(join(root, 'node_modules'), { recursive: true });
    expect(step.ready()).toBe(false);
  });

  test('a missing npm gets told with its remedy', async () => {
    process.env.PATH = join(root, 'empty');
    await expect(nodeModules(findPlaces(root, {})).run()).rejects.toMatchObject({
      message: expect.stringContaining('ENOENT'),
      remedy: expect.stringContaining('npm is on the PATH'),
    });
  });

  test('npm has already installed them for an installed package', () => {
    rmSync(join(root, 'package-lock.json'));
    expect(nodeModules(findPlaces(root, {})).ready()).toBe(true);
  });
});
