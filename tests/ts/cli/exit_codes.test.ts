import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { CliError } from '../../../ts/cli/errors.js';
import { EXIT, EXIT_OF_CODE, exitCodeOf } from '../../../ts/cli/exit_codes.js';
import { AmmdError } from '../../../ts/common/errors.js';
import { configError } from '../../../ts/config/errors.js';
import { RunError } from '../../../ts/run/errors.js';
import { WireError, WorkerFailure } from '../../../ts/wire/errors.js';
import { errorCodeSchema } from '../../../ts/wire/protocol.gen.js';

/** Every code that a source gives to an error of ours: in `new XError('code', …)` or in a class that has but one. */
function codesInSources(): ReadonlySet<string> {
  const files = readdirSync('ts', { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const codes = files.flatMap((name) => {
    const text = readFileSync(path.join('ts', name), 'utf8');
    return [...text.matchAll(/(?:\bnew \w*(?:Error|Failure)\(\s*|\breadonly code = )'([a-z_]+)'[,;]/g)];
  });
  return new Set(codes.map(([, code]) => code ?? ''));
}

describe('every error code has an exit status', () => {
  test('of the sources', () => {
    const codes = [...codesInSources()];
    expect(codes.length).toBeGreaterThan(20);
    expect(codes.filter((code) => !Object.hasOwn(EXIT_OF_CODE, code))).toEqual([]);
  });

  test('of the wire’s contract', () => {
    expect(errorCodeSchema.options.filter((code) => !Object.hasOwn(EXIT_OF_CODE, code))).toEqual([]);
  });
});

class NewError extends AmmdError {
  readonly code = 'new_code';
}

describe('the status of an error', () => {
  test.each<[string, unknown, number]>([
    ['a wrong command line', new CliError('usage', ''), EXIT.usage],
    ['a wrong configuration', configError('wrong'), EXIT.usage],
    ['a failed check', new CliError('check_failed', ''), EXIT.check],
    ['a run that is there', new RunError('run_exists', ''), EXIT.usage],
    ['bad data', new WireError('data_error', ''), EXIT.input],
    ['no memory', new WireError('out_of_memory', ''), EXIT.worker],
    ['a dead worker', new WorkerFailure('worker_exited', ''), EXIT.worker],
    ['a stop', new RunError('interrupted', ''), EXIT.interrupted],
    ['a run whose time is over', new RunError('time_over', ''), EXIT.time],
    ['a defect of the worker', new WireError('internal', ''), EXIT.defect],
    ['what nobody foresaw', new TypeError('x is undefined'), EXIT.defect],
    ['a code without a status', new NewError(''), EXIT.defect],
    ['no error at all', 'text', EXIT.defect],
  ])('%s', (_, error, status) => {
    expect(exitCodeOf(error)).toBe(status);
  });

  test('of a failed stage is that of its cause', () => {
    const failed = (cause: unknown) => exitCodeOf(new RunError('stage_failed', '', { cause }));
    expect(failed(new WireError('data_error', ''))).toBe(EXIT.input);
    expect(failed(new WorkerFailure('worker_silent', ''))).toBe(EXIT.worker);
    expect(failed(new WireError('aborted', '', { cause: new WireError('model_error', '') }))).toBe(
      EXIT.input,
    );
    expect(failed(undefined)).toBe(EXIT.defect);
  });

  test('of the operating system’s errors is that of files', () => {
    const errorOf = (action: () => unknown): unknown => {
      try {
        return action();
      } catch (error) {
        return error;
      }
    };
    expect(exitCodeOf(errorOf(() => readFileSync('/does/not/exist')))).toBe(EXIT.input);
  });
});
