import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { describeError, errorAsJson } from '../../../ts/cli/print_error.js';
import { RunError } from '../../../ts/run/errors.js';
import { WireError, WorkerFailure } from '../../../ts/wire/errors.js';

const cause = new WireError('data_error', 'register_data failed: data.jsonl:7: no field output', {
  hint: 'name the field in `fields`',
});

/** An error of the file system. */
function missingFile(): unknown {
  try {
    return readFileSync('/does/not/exist');
  } catch (error) {
    return error;
  }
}

describe('for people', () => {
  test('what, then the remedy', () => {
    const error = new RunError('run_exists', 'runs/a exists', { hint: 'give another --out' });
    expect(describeError(error)).toBe('ammd: runs/a exists\n  give another --out');
  });

  test('a cause is named when the message does not say it already; remedies of both', () => {
    const error = new RunError('stage_failed', 'stage ammd failed', {
      cause,
      hint: 'go on with: ammd resume',
    });
    expect(describeError(error).split('\n')).toEqual([
      'ammd: stage ammd failed',
      `  because: ${cause.message}`,
      '  go on with: ammd resume',
      '  name the field in `fields`',
    ]);
    const saying = new RunError('stage_failed', `stage ammd: ${cause.message}`, { cause });
    expect(describeError(saying)).not.toContain('because');
  });

  test('a remedy is given once', () => {
    const same = new RunError('stage_failed', 'failed', { cause, hint: cause.hint ?? '' });
    expect(
      describeError(same)
        .split('\n')
        .filter((line) => line.includes('fields')),
    ).toHaveLength(1);
  });

  test('causes that are not ours are named too', () => {
    const error = new RunError('checkpoint_invalid', 'no checkpoint', { cause: missingFile() });
    expect(describeError(error)).toContain('  because: ENOENT: no such file or directory');
  });

  test('a defect of the worker comes with its traceback and the wish for a report', () => {
    const inner = new WireError('internal', 'step_student failed: boom', { detail: 'Traceback …\n  line 3' });
    const text = describeError(
      new RunError('stage_failed', `stage ammd: ${inner.message}`, { cause: inner }),
    );
    expect(text).toContain('Traceback …\n  line 3');
    expect(text).toContain('please report it');
  });

  test('a traceback of what is no defect is left out', () => {
    const error = new WireError('model_error', 'no such folder', { detail: 'Traceback …' });
    expect(describeError(error)).toBe('ammd: no such folder');
  });

  test('a defect of ours shows its stack', () => {
    const text = describeError(new TypeError('x is undefined'));
    expect(text).toMatch(
      /^ammd: this is a defect of the program, please report it:\nTypeError: x is undefined\n\s+at /,
    );
    expect(describeError('text')).toMatch(/please report it:\ntext$/);
  });

  test('an error of the operating system is no defect', () => {
    expect(describeError(missingFile())).toBe(
      "ammd: ENOENT: no such file or directory, open '/does/not/exist'",
    );
  });
});

describe('a full disk', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {
    code: 'ENOSPC',
    syscall: 'write',
  });
  const remedy = '  free some space on that disk, then go on or try again';

  test('has a remedy, also behind how to go on', () => {
    expect(describeError(full)).toBe(`ammd: ${full.message}\n${remedy}`);
    const failed = new RunError('stage_failed', `stage a: ${full.message}`, { cause: full, hint: 'resume' });
    expect(describeError(failed)).toBe(`ammd: ${failed.message}\n  resume\n${remedy}`);
    expect(JSON.parse(errorAsJson(full))).toMatchObject({ code: 'ENOSPC', hint: remedy.trim() });
  });
});

describe('for scripts', () => {
  test('one line with code, status, message and remedy', () => {
    const error = new WorkerFailure('worker_exited', 'The worker ended\nLast lines', { hint: 'resume' });
    const line = errorAsJson(error);
    expect(line).not.toContain('\n');
    expect(JSON.parse(line)).toEqual({
      kind: 'error',
      code: 'worker_exited',
      exit_status: 3,
      message: 'The worker ended\nLast lines',
      hint: 'resume',
    });
  });

  test('also of errors that are not ours', () => {
    expect(JSON.parse(errorAsJson(new TypeError('x')))).toEqual({
      kind: 'error',
      code: 'defect',
      exit_status: 1,
      message: 'x',
    });
    expect(JSON.parse(errorAsJson(missingFile()))).toMatchObject({ code: 'ENOENT', exit_status: 4 });
    expect(JSON.parse(errorAsJson('text'))).toMatchObject({ message: 'text' });
  });
});
