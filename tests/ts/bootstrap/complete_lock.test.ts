import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { missingEntries } from '../../../ts/bootstrap/complete_lock.mjs';

test('optional packages of other platforms get an entry, with what their name tells', () => {
  const packages = {
    'node_modules/fast': {
      version: '2.0.0',
      dev: true,
      optionalDependencies: {
        '@fast/core-linux-x64-gnu': '2.0.0',
        '@fast/core-linux-arm-musleabihf': '2.0.0',
        '@fast/core-darwin-arm64': '2.0.0',
        'nice-to-have': '^1',
      },
    },
    'node_modules/@fast/core-linux-x64-gnu': { version: '2.0.0' },
  };
  expect(missingEntries(packages)).toEqual({
    'node_modules/@fast/core-linux-arm-musleabihf': {
      version: '2.0.0',
      cpu: ['arm'],
      libc: ['musl'],
      os: ['linux'],
      dev: true,
      optional: true,
    },
    'node_modules/@fast/core-darwin-arm64': {
      version: '2.0.0',
      cpu: ['arm64'],
      os: ['darwin'],
      dev: true,
      optional: true,
    },
  });
});

test('a package that stands deeper in the tree is there', () => {
  const packages = {
    'node_modules/a': { version: '1.0.0', optionalDependencies: { 'a-linux-x64': '1.0.0' } },
    'node_modules/a/node_modules/a-linux-x64': { version: '1.0.0' },
  };
  expect(missingEntries(packages)).toEqual({});
});

test('the lock file of this project is complete (if not: npm run lock)', () => {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  expect(missingEntries(lock.packages)).toEqual({});
});
