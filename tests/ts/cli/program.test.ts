import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { configToYaml, resolveConfig } from '../../../ts/config/resolve.js';
import { RunFolder } from '../../../ts/run/folder/run_folder.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';
import { RUN } from '../config/workspace.js';
import { type Captured, runCaptured } from './captured.js';

const home = process.cwd();
const environment = { ...process.env };
let folder = '';
beforeEach(() => {
  const scratch = temporaryFolder();
  folder = temporaryFolder({ 'run.yaml': RUN });
  process.chdir(folder);
  // Whatever starts a worker by mistake fails at once; what it leaves goes with the test.
  process.env.AMMD_WORKER_PYTHON = '/does/not/exist/python';
  process.env.TMPDIR = scratch;
});
afterEach(() => {
  process.chdir(home);
  for (const name of ['AMMD_WORKER_PYTHON', 'TMPDIR']) delete process.env[name];
  Object.assign(process.env, environment);
});

const written = () => readdirSync(folder).filter((name) => name !== 'run.yaml');

function expectRefused({ status, stdout, stderr }: Captured, code: number, message: RegExp): void {
  expect(stderr).toMatch(message);
  expect(status).toBe(code);
  expect(stdout).toBe('');
}

describe('help', () => {
  const COMMANDS = [
    'quickstart',
    'train',
    'resume',
    'eval',
    'generate',
    'export',
    'import',
    'check',
    'report',
    'doctor',
    'setup',
  ];

  test('names every command and every exit status', async () => {
    const { status, stdout } = await runCaptured('--help');
    expect(status).toBe(0);
    for (const command of COMMANDS) expect(stdout).toContain(`ammd ${command}`);
    for (const code of [0, 1, 2, 3, 4, 5, 6, 130]) expect(stdout).toMatch(new RegExp(`\\b${code} [a-z]`));
  });

  test.each(COMMANDS)('of %s has an example that begins like the command', async (command) => {
    const { status, stdout } = await runCaptured(command, '--help');
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`Examples:\\s+ammd ${command}\\b`));
  });

  test('the version is the package’s', async () => {
    const { version } = JSON.parse(readFileSync(path.join(home, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(await runCaptured('--version')).toMatchObject({ status: 0, stdout: `${version}\n` });
  });
});

describe('a wrong command line', () => {
  test.each<[string, readonly string[], RegExp]>([
    ['no command', [], /ammd: Name a command/],
    ['a typing error', ['trian', 'run.yaml'], /Did you mean train\?/],
    ['an unknown option', ['train', 'run.yaml', '--bogus'], /Unknown argument: bogus/],
    ['a missing argument', ['train'], /Not enough non-option arguments/],
    ['an option twice', ['train', 'run.yaml', '--out', 'a', '--out', 'b'], /--out is given more than once/],
    [
      'a template that is none',
      ['eval', 'm', '--data', 'd', '--template', 'x'],
      /"alpaca", "chat", "plain", "text"/,
    ],
    ['a wrong choice', ['eval', 'm', '--data', 'd', '--metric', 'bleurt'], /metric.*bleurt/],
    ['seeds that are no numbers', ['eval', 'm', '--data', 'd', '--seeds', 'x'], /--seeds: .*number/],
    ['no steps', ['quickstart', '--steps', '0'], /--steps: /],
    ['no steps, by the other name', ['start', '--steps', '0.5'], /--steps: /],
    ['no rows', ['eval', 'm', '--data', 'd', '--rows', '0'], /--rows: /],
    ['no tokens', ['eval', 'm', '--data', 'd', '--max-new-tokens', '0'], /--max-new-tokens: /],
    [
      'a broken block',
      ['eval', 'm', '--data', 'd', '--no-repeat-ngram-size', '-1'],
      /--no-repeat-ngram-size: /,
    ],
    ['yes and no', ['eval', 'm', '--data', 'd', '--greedy', '--no-greedy'], /mutually exclusive/],
    ['nothing to decode', ['eval', 'm', '--data', 'd', '--no-greedy', '--seeds'], /nothing to decode/],
    ['a negative temperature', ['generate', 'm', '--prompt', 'p', '--temperature', '-1'], /--temperature: /],
    ['a broken seed', ['generate', 'm', '--prompt', 'p', '--seed', '0.5'], /--seed: /],
    ['an empty prompt', ['generate', 'm', '--prompt', ' '], /the argument after --prompt is empty/],
    ['no place to export to', ['export', 'run'], /Missing required argument: out/],
    ['an unknown form', ['export', 'run', '--out', 'o', '--form', 'delta'], /form.*delta.*merged.*adapter/s],
    ['an export over a file', ['export', 'run', '--out', 'run.yaml'], /run\.yaml is a file/],
    ['an export over a model', ['export', 'run', '--out', '.'], /\. is not empty/],
    ['an import over a file', ['import', 'dolly', '--out', 'run.yaml'], /run\.yaml is a file/],
    ['an import over something', ['import', 'dolly', '--out', '.'], /\. is not empty/],
    ['an import of no rows', ['import', 'openwebtext', '--limit', '0'], /--limit: /],
    ['an import with a broken seed', ['import', 'dolly', '--seed', '-1'], /--seed: /],
    ['an unknown device', ['generate', 'm', '--prompt', 'p', '--device', 'gpu'], /--device: expected auto/],
  ])('%s', async (_, argv, message) => {
    expectRefused(await runCaptured(...argv), 2, message);
    expect(written()).toEqual([]);
  });

  test('is one JSON line for scripts', async () => {
    const { status, stdout, stderr } = await runCaptured('train', '--json');
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(JSON.parse(stderr)).toMatchObject({ kind: 'error', code: 'usage', exit_status: 2 });
  });
});

describe('train', () => {
  test('with a wrong config writes nothing', async () => {
    writeFileSync('run.yaml', RUN.replace('batch_size', 'batchsize'));
    expectRefused(await runCaptured('train', 'run.yaml'), 2, /run\.yaml:\d+:\d+: .*batchsize.*batch_size/s);
    expect(written()).toEqual([]);
  });

  test('with a wrong --set writes nothing', async () => {
    const refused = await runCaptured('train', 'run.yaml', '--set', 'stages.student.training.stepz=3');
    expectRefused(refused, 2, /--set stages\.student\.training\.stepz=3.*steps/s);
    expect(written()).toEqual([]);
  });

  test('does not touch a folder that holds something', async () => {
    mkdirSync('out');
    writeFileSync('out/notes.txt', '');
    expectRefused(await runCaptured('train', 'run.yaml', '--out', 'out'), 2, /out exists and is not empty/);
    expect(readdirSync('out')).toEqual(['notes.txt']);
  });

  test("without a worker says what to do, and leaves the worker's log", async () => {
    const { status, stderr } = await runCaptured('train', 'run.yaml', '--out', 'out');
    expect(status).toBe(3);
    expect(stderr).toMatch(/could not be started.*ammd doctor/s);
    expect(existsSync(new RunFolder('out').workerLog)).toBe(true);
  });

  test('of a trace that cannot be written starts nothing', async () => {
    const refused = await runCaptured('train', 'run.yaml', '--trace', 'none/trace.jsonl');
    expectRefused(refused, 4, /ENOENT.*none\/trace\.jsonl/);
    expect(written()).toEqual([]);
  });
});

describe('check --dry-run', () => {
  test('prints YAML that stands for the same run', async () => {
    const { status, stdout } = await runCaptured('check', 'run.yaml', '--dry-run', '--set', 'seed=5');
    expect(status).toBe(0);
    writeFileSync('full.yaml', stdout);
    const { hash } = resolveConfig('run.yaml', ['seed=5']);
    expect(resolveConfig('full.yaml').hash).toBe(hash);
    expect(stdout).toContain(`# configuration ${hash}`);
    expect(parse(stdout)).toMatchObject({ name: 'demo', seed: 5 });
  });

  test('or one JSON object', async () => {
    const { stdout } = await runCaptured('check', 'run.yaml', '--dry-run', '--json');
    const printed: unknown = JSON.parse(stdout);
    const { config, hash, warnings } = resolveConfig('run.yaml');
    expect(printed).toEqual({ config: JSON.parse(JSON.stringify(config)), hash, warnings, preflight: [] });
  });

  test('--plot draws the schedules of each stage instead', async () => {
    const { status, stdout } = await runCaptured('check', 'run.yaml', '--dry-run', '--plot');
    expect(status).toBe(0);
    const { hash } = resolveConfig('run.yaml');
    expect(stdout).toMatch(new RegExp(`^# configuration ${hash}\n`));
    expect(stdout).toContain('stage teacher: 20 steps of the student');
    expect(stdout.match(/training\.lr \(learning rate\): 0\.001 → /g)).toHaveLength(2);
    expect(stdout).not.toContain('\u001b');
  });

  test('--plot --json gives the numbers', async () => {
    const { stdout } = await runCaptured('check', 'run.yaml', '--dry-run', '--plot', '--json');
    const { schedules } = JSON.parse(stdout) as {
      schedules: { stage: string; steps: number[]; curves: { name: string; values: number[] }[] }[];
    };
    expect(schedules.map(({ stage }) => stage)).toEqual(['teacher', 'student']);
    expect(schedules[1]?.steps).toEqual(Array.from({ length: 20 }, (_, step) => step));
    const lr = schedules[1]?.curves.find(({ name }) => name === 'training.lr');
    expect(lr?.values).toHaveLength(20);
    expect(lr?.values[0]).toBe(0.001);
  });

  test('of a wrong config fails', async () => {
    expectRefused(await runCaptured('check', 'none.yaml', '--dry-run'), 2, /none\.yaml/);
  });
});

/** The demo run as a run folder, with these stages done. */
function runFolder(...done: readonly string[]): RunFolder {
  const run = new RunFolder('run');
  mkdirSync(run.path);
  const { config, hash } = resolveConfig('run.yaml');
  writeFileSync(run.config, configToYaml(config));
  writeFileSync(run.configHash, `${hash}\n`);
  writeFileSync(run.manifest, '{}');
  for (const stage of done) writeFileSync(run.stage(stage).make().done, '{}');
  return run;
}

describe('a run folder', () => {
  test.each([
    ['resume', /holds no run/],
    ['report', /is no folder that a report is made from/],
  ])('%s needs one', async (command, refusal) => {
    expectRefused(await runCaptured(command, 'none'), 2, /none does not exist/);
    expectRefused(await runCaptured(command, '.'), 2, refusal);
  });

  test('that is finished has its student copied, without a worker', async () => {
    const run = runFolder('teacher', 'student');
    writeFileSync(run.stage('student').done, JSON.stringify({ stage: 'student', step: 12, files: [] }));
    mkdirSync(run.stage('student').student);
    writeFileSync(path.join(run.stage('student').student, 'config.json'), '{"a": 1}');
    const text = await runCaptured('export', 'run', '--out', 'out');
    expect(text).toEqual({ status: 0, stdout: 'model of stage student after step 12: out\n', stderr: '' });
    expect(readFileSync('out/config.json', 'utf8')).toBe('{"a": 1}');
    const { stdout } = await runCaptured('export', 'run', '--out', 'again', '--json');
    expect(JSON.parse(stdout)).toEqual({
      out: path.resolve('again'),
      ...{ form: 'merged', stage: 'student', step: 12, files: ['config.json'] },
    });
    expectRefused(await runCaptured('export', 'run', '--out', 'out'), 2, /out is not empty/);
  });

  test('that is finished is not resumed', async () => {
    writeFileSync(runFolder('teacher', 'student').report, '');
    const { status, stderr } = await runCaptured('resume', 'run');
    expect(status).toBe(2);
    expect(stderr).toMatch(/run is finished\n {2}its report is .*report\.html/);
  });

  test('with nothing in it yet has a report all the same, also for scripts', async () => {
    const run = runFolder();
    const text = await runCaptured('report', 'run');
    expect(text).toMatchObject({ status: 0, stdout: expect.stringContaining(run.report) });
    const { stdout } = await runCaptured('report', 'run', '--json');
    expect(JSON.parse(stdout)).toEqual(JSON.parse(readFileSync(run.results, 'utf8')));
  });

  test('without a finished stage has no model to evaluate', async () => {
    runFolder();
    expectRefused(await runCaptured('eval', 'run', '--data', 'check'), 2, /no stage of run has a student/);
    expectRefused(await runCaptured('generate', 'run', '--prompt', 'p'), 2, /no stage of run has a student/);
    expectRefused(await runCaptured('export', 'run', '--out', 'o'), 2, /no stage of run has a student/);
  });
});

describe('--max-hours', () => {
  test.each(['0', '-1', 'soon', '9000'])('is a number of hours above 0, not %s', async (hours) => {
    const { status, stderr } = await runCaptured('train', 'run.yaml', `--max-hours=${hours}`);
    expect(status).toBe(2);
    expect(stderr).toContain('--max-hours: ');
    expect(written()).toEqual([]);
  });
});

describe('without a worker', () => {
  test('doctor names the problem and the remedy', async () => {
    const { status, stdout, stderr } = await runCaptured('doctor');
    expect(status).toBe(5);
    expect(stdout).toMatch(/^ok {7}node/);
    expect(stdout).toMatch(/problem {2}worker .*\/does\/not\/exist\/python[\s\S]*to get it: npx ammd setup/);
    expect(stderr).toMatch(/the worker does not start/);
  });

  test('doctor --json has nothing else on stdout', async () => {
    const { status, stdout, stderr } = await runCaptured('doctor', '--json');
    expect(status).toBe(5);
    const { findings } = JSON.parse(stdout) as { findings: { name: string; state: string }[] };
    expect(findings).toContainEqual(expect.objectContaining({ name: 'worker', state: 'problem' }));
    expect(JSON.parse(stderr)).toMatchObject({ code: 'check_failed', exit_status: 5 });
  });

  test.each([
    ['generate', 'org/name', '--prompt', 'p'],
    ['eval', 'org/name', '--data', 'd.jsonl'],
    ['check', 'run.yaml'],
  ])('%s fails as the worker’s', async (...argv) => {
    const { status, stderr } = await runCaptured(...argv);
    expect(status).toBe(3);
    expect(stderr).toMatch(/could not be started/);
    // The log that the remedy names is there to be read.
    const [, log] = /the worker's log is (\S+)\.$/m.exec(stderr) ?? [];
    expect(existsSync(log ?? '')).toBe(true);
  });
});
