import { writeFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { causeOf, stageFailure } from '../../../../ts/run/ending/stage_failure.js';
import { RunError } from '../../../../ts/run/errors.js';
import { RunFolder } from '../../../../ts/run/folder/run_folder.js';
import { WireError, WorkerFailure } from '../../../../ts/wire/errors.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';

function folderOf(started: boolean): RunFolder {
  const folder = new RunFolder(temporaryFolder());
  if (started) writeFileSync(folder.manifest, '{}');
  return folder;
}

test.each([
  ['invalid_argument', 'mend a copy of CONFIG and start another run with: ammd train'],
  ['unsupported', 'mend a copy of CONFIG and start another run with: ammd train'],
  ['over_budget', 'change it under `worker` in CONFIG, and go on with: ammd resume FOLDER'],
  ['data_error', 'when that is mended, go on with: ammd resume FOLDER'],
] as const)('%s: %s', (code, way) => {
  const folder = folderOf(true);
  const hint = way.replace('CONFIG', folder.config).replace('FOLDER', folder.path);
  expect(stageFailure(new WireError(code, 'why'), 'kd', folder)).toMatchObject({
    code: 'stage_failed',
    message: 'stage kd: why',
    hint: expect.stringContaining(hint),
  });
});

test('what was not run because of an earlier failure is hinted at as that one', () => {
  const first = new WireError('over_budget', 'too many');
  const behind = new WireError('aborted', 'not run', { cause: first });
  expect(stageFailure(behind, 'kd', folderOf(true))).toMatchObject({
    hint: expect.stringContaining('change it under `worker`'),
  });
});

test('a worker that died is no fault of the configuration', () => {
  const folder = folderOf(false);
  expect(stageFailure(new WorkerFailure('worker_exited', 'gone'), 'kd', folder)).toMatchObject({
    hint: `go on with: ammd resume ${folder.path}`,
  });
});

test('before the first stage has loaded there is nothing to go on from', () => {
  const failure = stageFailure(new WireError('data_error', 'no file'), 'kd', folderOf(false));
  expect(failure).toMatchObject({ code: 'stage_failed' });
  expect(failure).not.toHaveProperty('hint', expect.any(String));
});

test('what says itself how to go on is passed on', () => {
  const stopped = new RunError('interrupted', 'stopped');
  expect(stageFailure(stopped, 'kd', folderOf(true))).toBe(stopped);
});

test('a full disk is no fault of the run, which goes on', () => {
  const folder = folderOf(true);
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {
    code: 'ENOSPC',
    syscall: 'write',
  });
  const failure = stageFailure(full, 'kd', folder);
  expect(failure).toMatchObject({
    message: `stage kd: ${full.message}`,
    hint: `when that is mended, go on with: ammd resume ${folder.path}`,
  });
  expect(causeOf(failure)).toBe(full);
  expect(causeOf(full)).toBe(full);
});
