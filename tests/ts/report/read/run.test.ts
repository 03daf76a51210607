import { expect, test } from '@jest/globals';
import { readRun } from '../../../../ts/report/read/run.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';

const contentsIn = (manifest: unknown) =>
  readRun(
    temporaryFolder({
      'config.yaml': 'name: a\nstages: {kd: {method: kd}}\n',
      'manifest.json': JSON.stringify(manifest),
    }),
  ).stages[0]?.contents;

test('the rows of each dataset are known by the hash that the manifest has', () => {
  const data = { seen: { rows: 2, content_hash: 'ab' } };
  expect(contentsIn({ stages: { kd: { data } } })).toEqual({ seen: 'ab' });
});

test.each([[{}], [{ stages: {} }], [{ stages: { kd: { data: { seen: { rows: 2 } } } } }]])(
  'the manifest %j tells nothing of them',
  (manifest) => expect(contentsIn(manifest)).toEqual({}),
);
