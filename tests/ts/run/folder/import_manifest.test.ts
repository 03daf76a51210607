import path from 'node:path';
import { expect, test } from '@jest/globals';
import { sha256 } from '../../../../ts/common/hash.js';
import { importOf } from '../../../../ts/run/folder/import_manifest.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';

const MANIFEST = JSON.stringify({
  format: 'ammd-import',
  version: 1,
  dataset: 'dolly',
  source: { kind: 'hub', name: 'databricks/databricks-dolly-15k' },
  splits: { train: { name: 'train.jsonl', rows: 2 }, test: { name: 'test.jsonl', rows: 1 } },
});

test('a file that an import wrote is known by the manifest beside it', () => {
  const folder = temporaryFolder({ 'manifest.json': MANIFEST, 'train.jsonl': '' });
  expect(importOf(path.join(folder, 'train.jsonl'))).toEqual({
    import: 'dolly',
    import_manifest_sha256: sha256(MANIFEST),
  });
});

test('another file beside a manifest is not', () => {
  const folder = temporaryFolder({ 'manifest.json': MANIFEST, 'mine.jsonl': '' });
  expect(importOf(path.join(folder, 'mine.jsonl'))).toBeNull();
});

test.each([
  ['nothing', undefined],
  ['no JSON', '{oops'],
  ['a manifest of something else', '{"format": "ammd-results"}'],
])('%s beside a file', (_, content) => {
  const folder = temporaryFolder(content === undefined ? {} : { 'manifest.json': content });
  expect(importOf(path.join(folder, 'train.jsonl'))).toBeNull();
});

test('a hub dataset and built-in tasks have none', () => {
  expect(importOf('databricks/databricks-dolly-15k')).toBeNull();
  expect(importOf('builtin:microtasks')).toBeNull();
});
