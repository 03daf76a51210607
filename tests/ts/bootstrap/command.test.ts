import { describe, expect, test } from '@jest/globals';
import { parseCommand } from '../../../ts/bootstrap/command.mjs';
import { findPlaces } from '../../../ts/bootstrap/places.mjs';
import { splitArguments } from '../../../ts/bootstrap/split_arguments.mjs';
import { temporaryFolder } from './temporary_folder.js';

describe('parseCommand', () => {
  test('tests and tools need the development packages', () => {
    expect(parseCommand(['test', 'py', '-x'])).toEqual({ kind: 'test', args: ['py', '-x'], groups: ['dev'] });
    expect(parseCommand(['python', '-m', 'mypy'])).toEqual({
      kind: 'python',
      args: ['-m', 'mypy'],
      groups: ['dev'],
    });
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
    expect(parseCommand(args)).toEqual({ kind: 'setup', args: [], groups });
  });

  test.each([
    [['setup', '--wiht', 'dev']],
    [['setup', '--with']],
    [['setup', '--with=']],
    [['setup', '--with', 'dev', 'smollm2']],
    [['setup', '--with', 'dev', '--with']],
  ])('%j is refused with the usage', (args) => {
    expect(() => parseCommand(args)).toThrow(
      expect.objectContaining({ remedy: expect.stringContaining('--with NAME') }),
    );
  });

  test('everything else belongs to the command line', () => {
    const args = ['train', 'a.yaml', '--set', 'x=1'];
    expect(parseCommand(args)).toEqual({ kind: 'cli', args, groups: [] });
    expect(parseCommand([])).toEqual({ kind: 'cli', args: [], groups: [] });
  });
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
    expect(places).toMatchObject({ prebuilt: true, environment: '/data/ammd/.venv', state: '/data/ammd' });
  });

  test('AMMD_VENV chooses another place', () => {
    const root = temporaryFolder({ 'tsconfig.json': '{}' });
    expect(findPlaces(root, { AMMD_VENV: '/big/disk/venv' }).environment).toBe('/big/disk/venv');
  });
});

test.each([
  ['', []],
  ['--no-index  --find-links "/my wheels"', ['--no-index', '--find-links', '/my wheels']],
  ["--find-links='/a b' -v", ['--find-links=/a b', '-v']],
])('splitArguments(%j)', (text, words) => {
  expect(splitArguments(text)).toEqual(words);
});
