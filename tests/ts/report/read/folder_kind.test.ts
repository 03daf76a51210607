import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ReportError } from '../../../../ts/report/errors.js';
import { commonKind, folderKind } from '../../../../ts/report/read/folder_kind.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';

const folders = () => {
  const root = temporaryFolder({
    'run/config.yaml': '',
    'begun/stages/a/metrics.jsonl': '',
    'sweep/sweep.json': '',
    'sweep/config.yaml': '',
    'other/trials.jsonl': '',
    'table/table.json': '',
    'nothing/notes.txt': '',
    'profile/reproduction.json': '{}',
    'profile/stages/637f/config.yaml': '',
    'profile/main/table.json': '',
    'profile/beta/table.json': '',
    'early/reproduction.json': '{}',
    'early/stages/637f/config.yaml': '',
  });
  return (...names: readonly string[]): string[] => names.map((name) => join(root, name));
};

function failure(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

test('a folder is known by its files', () => {
  const at = folders();
  expect(at('run', 'begun', 'sweep', 'other', 'table').map(folderKind)).toEqual([
    'run',
    'run',
    'sweep',
    'sweep',
    'reproduction',
  ]);
});

test.each(['nothing', 'missing'])('one that is %s of these is named, with what was expected', (name) => {
  const [folder = ''] = folders()(name);
  const error = failure(() => folderKind(folder));
  expect(error).toBeInstanceOf(ReportError);
  expect(error).toMatchObject({
    code: 'report_no_run',
    message: expect.stringContaining(folder),
    hint: expect.stringMatching(/run \(config\.yaml.*table\.json.*sweep\.json/),
  });
});

test('the folder of all tables of a profile is refused, with those that are done', () => {
  const at = folders();
  const refusalOf = (name: string): unknown => failure(() => folderKind(at(name)[0] ?? ''));
  const [main = '', beta = ''] = at(join('profile', 'main'), join('profile', 'beta'));
  expect(refusalOf('profile')).toMatchObject({
    code: 'report_no_run',
    hint: `Give one of: ${beta}, ${main}`,
  });
  expect(refusalOf('early')).toMatchObject({
    hint: expect.stringMatching(/^None of its tables is done yet/),
  });
});

test('several must be runs', () => {
  const at = folders();
  expect(commonKind(at('run', 'begun'))).toBe('run');
  expect(commonKind(at('table'))).toBe('reproduction');
  for (const mixed of [at('run', 'sweep'), at('sweep', 'other'), at('table', 'run')]) {
    const error = failure(() => commonKind(mixed));
    expect(error).toMatchObject({ code: 'report_mixed', message: expect.stringContaining(mixed[1] ?? '') });
    expect((error as Error).message).not.toContain('\n');
  }
});
