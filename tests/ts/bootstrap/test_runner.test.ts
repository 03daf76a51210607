import { PassThrough } from 'node:stream';
import { setImmediate as settled } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import {
  jestOutcome,
  printInTurn,
  pytestOutcome,
  selectTests,
  summarise,
} from '../../../ts/bootstrap/test_runner.mjs';

const FILES = ['tests/ts/plan/plan.test.ts', 'tests/py/losses/test_moment.py', 'tests/contract/plan.test.ts'];

describe('selectTests', () => {
  test('everything, or one whole side, is run with coverage', () => {
    expect(selectTests([], FILES)).toEqual({
      jest: ['--coverage'],
      pytest: [expect.stringContaining('--cov=py_worker'), expect.any(String)],
    });
    expect(selectTests(['ts'], FILES)).toEqual({ jest: ['--coverage'] });
  });

  test("a side takes its runner's own arguments", () => {
    expect(selectTests(['py', '-k', 'gap'], FILES)).toEqual({ pytest: ['-k', 'gap'] });
  });

  test('a pattern chooses files on both sides', () => {
    expect(selectTests(['plan.test'], FILES)).toEqual({ jest: ['--runTestsByPath', FILES[0], FILES[2]] });
    expect(selectTests(['losses', 'contract'], FILES)).toEqual({
      jest: ['--runTestsByPath', FILES[2]],
      pytest: [FILES[1]],
    });
    expect(selectTests(['nothing'], FILES)).toEqual({});
  });
});

describe('outcomes', () => {
  test('of Jest: a file that cannot be loaded is a failure', () => {
    const report = { numPassedTests: 7, numFailedTests: 1, numRuntimeErrorTestSuites: 2, numPendingTests: 4 };
    expect(jestOutcome(report, false)).toEqual({ passed: 7, failed: 3, ok: false, failures: [] });
  });

  test('of Jest: each failed test and each file that did not load is told, long texts by their beginning', () => {
    const passed = { status: 'passed', fullName: 'plan counts', failureMessages: [] };
    const failed = {
      status: 'failed',
      fullName: 'plan adds',
      failureMessages: [`Expected: 2${'\nframe'.repeat(99)}`],
    };
    const report = {
      testResults: [
        { name: '/ammd/plan.test.ts', status: 'failed', message: '', assertionResults: [passed, failed] },
        { name: '/ammd/wire.test.ts', status: 'failed', message: 'no such module', assertionResults: [] },
        { name: '/ammd/data.test.ts', status: 'passed', message: '', assertionResults: [passed] },
      ],
    };
    const { failures = [] } = jestOutcome(report, false);
    expect(failures).toEqual([
      expect.stringMatching(/^FAILED \/ammd\/plan\.test\.ts: plan adds\nExpected: 2\nframe/),
      'FAILED /ammd/wire.test.ts\nno such module',
    ]);
    expect(failures[0]?.split('\n')).toHaveLength(31);
  });

  test('of pytest: errors are failures, skipped tests are neither', () => {
    const xml =
      '<?xml version="1.0"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="16" time="1.0">';
    expect(pytestOutcome(xml, false)).toEqual({ passed: 10, failed: 3, ok: false });
  });

  test.each([
    ['Jest', () => jestOutcome(undefined, false)],
    ['pytest', () => pytestOutcome(undefined, false)],
    ['pytest with a cut report', () => pytestOutcome('<?xml', true)],
  ])('a %s that dies without a report is a failure', (_, outcome) => {
    expect(outcome()).toEqual({ passed: 0, failed: 1, ok: false });
  });
});

describe('summarise', () => {
  test('adds the sides', () => {
    const outcomes = [
      { passed: 3, failed: 0, ok: true },
      { passed: 4, failed: 0, ok: true },
    ];
    expect(summarise(outcomes)).toEqual({ line: '7 passed, 0 failed', code: 0 });
  });

  test.each([
    ['a failure', [{ passed: 3, failed: 1, ok: false }], '3 passed, 1 failed'],
    ['too little coverage', [{ passed: 3, failed: 0, ok: false }], '3 passed, 0 failed'],
    ['no test at all', [], '0 passed, 0 failed'],
  ])('%s gives exit code 1', (_, outcomes, line) => {
    expect(summarise(outcomes)).toEqual({ line, code: 1 });
  });
});

test('what the second of two runners prints waits for the first, in its order, and then passes', async () => {
  const child = { stdout: new PassThrough(), stderr: new PassThrough() };
  const printed: string[] = [];
  const writer = (name: string) =>
    new PassThrough().on('data', (chunk: Buffer) => printed.push(`${name}: ${chunk}`));
  let end = (): void => undefined;
  const first = new Promise<void>((_, reject) => {
    end = () => reject(new Error('the first failed to start'));
  });
  printInTurn(child, first, { stdout: writer('out'), stderr: writer('err') } as unknown as NodeJS.Process);

  for (const [name, text] of [
    ['stdout', 'a'],
    ['stderr', 'b'],
    ['stdout', 'c'],
  ] as const) {
    child[name].write(text);
    await settled();
  }
  expect(printed).toEqual([]);
  end();
  await settled();
  expect(printed).toEqual(['out: a', 'err: b', 'out: c']);
  child.stderr.write('d');
  await settled();
  expect(printed.at(-1)).toBe('err: d');
});
