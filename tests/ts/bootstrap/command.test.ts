import { describe, expect, test } from '@jest/globals';
import { parseCommand } from '../../../ts/bootstrap/command.mjs';
import { findPlaces } from '../../../ts/bootstrap/places.mjs';
import { splitArguments } from '../../../ts/bootstrap/split_arguments.mjs';
import { runCaptured } from '../cli/captured.js';
import { temporaryFolder } from './temporary_folder.js';

const inClone = (...args: readonly string[]) => parseCommand(args, false);
const installed = (...args: readonly string[]) => parseCommand(args, true);

describe('parseCommand', () => {
  test('tests and tools need the development packages', () => {
    const rest = { groups: ['dev', 'sweep'], usesPython: true };
    expect(inClone('test', 'py', '-x')).toEqual({ kind: 'test', args: ['py', '-x'], ...rest });
    expect(inClone('python', '-m', 'mypy')).toEqual({ kind: 'python', args: ['-m', 'mypy'], ...rest });
  });

  test('an installed package has neither tests nor sources to build', () => {
    expect(inClone('build')).toEqual({ kind: 'build', args: [], groups: [], usesPython: false });
    for (const name of ['test', 'build'])
      expect(installed(name)).toMatchObject({ kind: 'cli', args: [name] });
    expect(installed('python', '-m', 'pip', 'list')).toMatchObject({ kind: 'python', groups: [] });
  });

  test.each([
    [['setup'], []],
    [
      ['setup', '--with', 'dev,smollm2'],
      ['dev', 'smollm2'],
    ],
    [['setup', '--with=smollm2'], ['smollm2']],
    [
      ['setup', '--with', 'dev', '--with', 'smollm2', '--with=peft,trl'],
      ['dev', 'smollm2', 'peft', 'trl'],
    ],
  ])('%j', (args, groups) => {
    expect(inClone(...args)).toEqual({ kind: 'setup', args: [], groups, usesPython: true });
  });

  test.each([
    [['setup', '--wiht', 'dev']],
    [['setup', '--with']],
    [['setup', '--with=']],
    [['setup', '--with', 'dev', 'smollm2']],
    [['setup', '--with', 'dev', '--with']],
  ])('%j is refused with the usage', (args) => {
    expect(() => inClone(...args)).toThrow(
      expect.objectContaining({ remedy: expect.stringContaining('--with NAME') }),
    );
  });

  test.each(['--help', '-h'])('setup %s sets nothing up', (option) => {
    const args = ['setup', option];
    expect(installed(...args)).toEqual({ kind: 'cli', args, groups: [], usesPython: false });
  });

  test('everything else belongs to the command line', () => {
    const args = ['train', 'a.yaml', '--set', 'x=1'];
    expect(inClone(...args)).toEqual({ kind: 'cli', args, groups: [], usesPython: true });
  });

  test('a sweep needs the packages of its search', () => {
    expect(inClone('sweep', 'a.yaml')).toMatchObject({ kind: 'cli', groups: ['sweep'], usesPython: true });
  });

  test.each([
    [[]],
    [['--version']],
    [['train', '--help']],
    [['check', 'quickstart', '--dry-run']],
    [['report', 'runs/a']],
    [['doctor']],
    [['trian', 'quickstart']],
  ])('%j starts no worker, so no Python is set up for it', (args) => {
    expect(inClone(...args)).toEqual({ kind: 'cli', args, groups: [], usesPython: false });
  });
});

test('Python is set up for every command of the program but two', async () => {
  const { stdout } = await runCaptured('--help');
  const names = [...stdout.matchAll(/^ +ammd ([a-z]+)/gm)].map(([, name = '']) => name);
  expect(names.length).toBeGreaterThan(5);
  expect(names.filter((name) => !installed(name).usesPython)).toEqual(['report', 'doctor']);
  for (const args of [['start'], ['--json', 'train', 'a.yaml']])
    expect(installed(...args)).toMatchObject({ usesPython: true });
});

describe('findPlaces', () => {
  test('a clone keeps everything in itself', () => {
    const root = temporaryFolder({ 'tsconfig.json': '{}' });
    expect(findPlaces(root, { HOME: '/home/me' })).toMatchObject({
      prebuilt: false,
      environment: `${root}/.venv`,
      state: `${root}/.ammd`,
    });
  });

  test('an installed package writes nothing beside its code', () => {
    const places = findPlaces(temporaryFolder(), { XDG_DATA_HOME: '/data' });
    expect(places.prebuilt).toBe(true);
    expect(places.environment).toMatch(/^\/data\/ammd\/environments\/[0-9a-f]{12}$/);
    expect(places.state).toBe(`${places.environment}.setup`);
    expect(findPlaces(places.root, { HOME: '/home/me' }).environment).toBe(
      places.environment.replace('/data', '/home/me/.local/share'),
    );
  });

  test('installed versions share an environment exactly when they need the same packages', () => {
    const version = (lock: string) =>
      findPlaces(temporaryFolder({ 'py_worker/requirements/torch.lock': lock, other: lock }), {
        XDG_DATA_HOME: '/data',
      }).environment;
    expect(version('torch==2')).toBe(version('torch==2'));
    expect(version('torch==2')).not.toBe(version('torch==3'));
  });

  test('AMMD_VENV chooses another place', () => {
    const root = temporaryFolder({ 'tsconfig.json': '{}' });
    expect(findPlaces(root, { AMMD_VENV: '/big/disk/venv' }).environment).toBe('/big/disk/venv');
    expect(findPlaces(temporaryFolder(), { AMMD_VENV: '/big/disk/venv' })).toMatchObject({
      environment: '/big/disk/venv',
      state: '/big/disk/venv.setup',
    });
  });
});

test.each([
  ['', []],
  ['--no-index  --find-links "/my wheels"', ['--no-index', '--find-links', '/my wheels']],
  ["--find-links='/a b' -v", ['--find-links=/a b', '-v']],
])('splitArguments(%j)', (text, words) => {
  expect(splitArguments(text)).toEqual(words);
});
