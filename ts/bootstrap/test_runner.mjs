import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { readJson } from './stamp.mjs';

/**
 * Result of one side's tests.
 *
 * @typedef {object} Outcome
 * @property {number} passed
 * @property {number} failed
 * @property {boolean} ok whether the runner was content: no failure, coverage reached
 * @property {readonly string[]} [failures] what failed, told again at the end: Jest's own account of it stands before
 *   all that pytest prints, and a log that keeps only its tail would lose it
 */

// Torch processes with two threads each on two cores run 7 to 10 times slower than with one.
// No test may reach a model hub.
const TEST_ENV = {
  OMP_NUM_THREADS: '1',
  MKL_NUM_THREADS: '1',
  TOKENIZERS_PARALLELISM: 'false',
  HF_HUB_OFFLINE: '1',
};

// Enough for what was expected and what came, with a few frames of the stack.
const FAILURE_LINES = 30;

/**
 * Runs Jest and pytest, at once where there are cores for both, as each has its tests in one process after another;
 * closes with the line `N passed, N failed`.
 *
 * @param {string} root
 * @param {string} python
 * @param {readonly string[]} args none: everything, with coverage; `ts` or `py`, with the runner's own arguments
 *   behind it: one side; anything else: the test files with that in their path
 * @returns {Promise<number>} exit code
 */
export async function runTests(root, python, args) {
  const env = { ...TEST_ENV, ...process.env, AMMD_WORKER_PYTHON: python };
  const folder = mkdtempSync(join(tmpdir(), 'ammd-test-'));
  try {
    const { jest, pytest } = selectTests(args, listTests(root));
    const first = jest && runJest(root, env, jest, join(folder, 'jest.json'));
    if (availableParallelism() === 1) await first;
    const second = pytest && runPytest(root, env, python, pytest, join(folder, 'pytest.xml'), first);
    const outcomes = (await Promise.all([first, second])).filter((outcome) => outcome !== undefined);
    const { line, code } = summarise(outcomes);
    for (const failure of outcomes.flatMap(({ failures = [] }) => failures)) {
      process.stdout.write(`\n${failure}\n`);
    }
    process.stdout.write(`\n${line}\n`);
    return code;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Arguments for each runner; a side that is left out does not run. Coverage is asked for where a whole side runs.
 *
 * @param {readonly string[]} args
 * @param {readonly string[]} files all test files
 * @returns {{ jest?: readonly string[], pytest?: readonly string[] }}
 */
export function selectTests(args, files) {
  const [side, ...rest] = args;
  const jestCoverage = ['--coverage'];
  const pytestCoverage = ['--cov=py_worker', '--cov-report=term:skip-covered'];
  if (side === undefined) return { jest: jestCoverage, pytest: pytestCoverage };
  if (side === 'ts') return { jest: rest.length > 0 ? rest : jestCoverage };
  if (side === 'py') return { pytest: rest.length > 0 ? rest : pytestCoverage };
  const chosen = files.filter((file) => args.some((pattern) => file.includes(pattern)));
  const jest = chosen.filter((file) => file.endsWith('.ts'));
  const pytest = chosen.filter((file) => file.endsWith('.py'));
  return {
    ...(jest.length > 0 && { jest: ['--runTestsByPath', ...jest] }),
    ...(pytest.length > 0 && { pytest }),
  };
}

/**
 * The last line and the exit code of all sides together. Nothing run counts as a failure.
 *
 * @param {readonly Outcome[]} outcomes
 */
export function summarise(outcomes) {
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  const failed = outcomes.reduce((sum, outcome) => sum + outcome.failed, 0);
  const good = passed > 0 && failed === 0 && outcomes.every((outcome) => outcome.ok);
  return { line: `${passed} passed, ${failed} failed`, code: good ? 0 : 1 };
}

/**
 * @param {unknown} report Jest's JSON report; undefined when Jest died before writing it
 * @param {boolean} ok
 * @returns {Outcome}
 */
export function jestOutcome(report, ok) {
  if (!report) return { passed: 0, failed: 1, ok: false };
  const counts = /** @type {Record<string, number>} */ (report);
  const { numPassedTests = 0, numFailedTests = 0, numRuntimeErrorTestSuites = 0 } = counts;
  const failures = jestFailures(/** @type {JestReport} */ (report));
  return { passed: numPassedTests, failed: numFailedTests + numRuntimeErrorTestSuites, ok, failures };
}

/**
 * @typedef {object} JestReport the part of Jest's JSON report that tells failures
 * @property {readonly {
 *   name: string,
 *   status: string,
 *   message: string,
 *   assertionResults: readonly { status: string, fullName: string, failureMessages: readonly string[] }[],
 * }[]} [testResults]
 */

/** @param {JestReport} report @returns {string[]} a text for each failed test, and for each file that did not load */
function jestFailures({ testResults = [] }) {
  return testResults
    .filter(({ status }) => status === 'failed')
    .flatMap(({ name, message, assertionResults }) => {
      const failed = assertionResults.filter(({ status }) => status === 'failed');
      if (failed.length === 0) return [`FAILED ${name}\n${firstLines(message)}`];
      return failed.map(
        (test) => `FAILED ${name}: ${test.fullName}\n${firstLines(test.failureMessages.join('\n'))}`,
      );
    });
}

/** @param {string} text */
function firstLines(text) {
  return text.split('\n').slice(0, FAILURE_LINES).join('\n');
}

/**
 * @param {string | undefined} xml pytest's JUnit report; undefined when pytest died before writing it
 * @param {boolean} ok
 * @returns {Outcome}
 */
export function pytestOutcome(xml, ok) {
  const suite = xml?.match(/<testsuite\b[^>]*>/)?.[0];
  if (!suite) return { passed: 0, failed: 1, ok: false };
  /** @param {string} name */
  const count = (name) => Number(suite.match(new RegExp(`\\b${name}="(\\d+)"`))?.[1] ?? 0);
  const failed = count('failures') + count('errors');
  return { passed: Math.max(0, count('tests') - failed - count('skipped')), failed, ok };
}

/** @param {string} root @returns {string[]} test files, relative to `root` */
function listTests(root) {
  return readdirSync(join(root, 'tests'), { recursive: true, encoding: 'utf8' })
    .map((name) => `tests/${name}`)
    .filter((name) => /(\.test\.ts|\/test_[^/]*\.py|_test\.py)$/.test(name));
}

/**
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @param {readonly string[]} args
 * @param {string} file
 */
async function runJest(root, env, args, file) {
  const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
  const node = ['--experimental-vm-modules', '--no-warnings=ExperimentalWarning'];
  const ok = await run(
    process.execPath,
    [...node, jest, '--json', `--outputFile=${file}`, ...args],
    root,
    env,
  );
  return jestOutcome(readJson(file), ok);
}

/**
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @param {string} python
 * @param {readonly string[]} args
 * @param {string} file
 * @param {Promise<unknown>} [turn] see `printInTurn`
 */
async function runPytest(root, env, python, args, file, turn) {
  const colours = process.stdout.isTTY ? ['--color=yes'] : []; // to a pipe it would print none
  const command = ['-m', 'pytest', `--junitxml=${file}`, ...colours, ...args];
  const ok = await run(python, command, root, env, turn);
  let xml;
  try {
    xml = readFileSync(file, 'utf8');
  } catch {
    xml = undefined;
  }
  return pytestOutcome(xml, ok);
}

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {string} cwd
 * @param {NodeJS.ProcessEnv} env
 * @param {Promise<unknown>} [turn] see `printInTurn`
 * @returns {Promise<boolean>} whether it ended well
 */
function run(program, args, cwd, env, turn) {
  return new Promise((resolve, reject) => {
    const output = turn ? 'pipe' : 'inherit';
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', output, output] });
    if (turn) printInTurn(child, turn);
    child.on('error', reject);
    child.on('close', (code) => resolve(code === 0));
  });
}

/**
 * Passes on what a process prints, once it is its turn: two at once would print into each other. What came before is
 * kept, for a process whose output nobody takes would stand still.
 *
 * @param {Pick<import('node:child_process').ChildProcess, 'stdout' | 'stderr'>} child
 * @param {Promise<unknown>} turn
 * @param {Pick<NodeJS.Process, 'stdout' | 'stderr'>} to
 */
export function printInTurn(child, turn, to = process) {
  /** @type {(() => void)[]} */
  const kept = [];
  /** @param {() => void} print */
  let pass = (print) => {
    kept.push(print);
  };
  for (const name of /** @type {const} */ (['stdout', 'stderr'])) {
    child[name]?.on('data', (chunk) => pass(() => void to[name].write(chunk)));
  }
  const begin = () => {
    for (const print of kept) print();
    pass = (print) => print();
  };
  void turn.then(begin, begin);
}
