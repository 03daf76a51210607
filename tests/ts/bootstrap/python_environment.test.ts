import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { checkExisting } from '../../../ts/bootstrap/existing_environment.mjs';
import { findPlaces } from '../../../ts/bootstrap/places.mjs';
import { pythonEnvironment } from '../../../ts/bootstrap/python_environment.mjs';
import { temporaryFolder } from './temporary_folder.js';

// A program that answers as Python does where the set-up asks it. `calls` gets a line for each thing it was made to
// do; files beside it steer it: `broken` (pip fails), `cpu_wheel` (pip is
// offered a CPU-only torch), `network` (what pip says when it cannot ask), `cuda` (torch wants CUDA packages), `check` (pip check's words).
const FAKE_PYTHON = `#!/bin/sh
here=HERE
case "$*" in
  -c*) echo '{"version": [3, 12, 1], "path": "'"$0"'", "can_make": true}' ;;
  "-m venv "*) echo venv >> $here/calls; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  "-I -m pip install "*--dry-run*) case "$*" in *" pkg-torch-cpu==1"*) ;; *) exit 9 ;; esac
    if [ ! -e $here/cpu_wheel ]; then cat $here/network 2>/dev/null || echo "No matching distribution"; exit 1; fi >&2 ;;
  "-I -m pip install "*) echo "$*" | sed 's/.*--require-hashes //; s|-r [^ ]*/|-r |' >> $here/calls
    if [ -e $here/broken ]; then echo "no matching distribution"; exit 1; fi ;;
  "-I -m pip check") if [ -e $here/check ]; then cat $here/check; exit 1; fi ;;
  *installed.py\\ torch-wants*) cat $here/cuda 2>/dev/null || true ;;
  *installed.py\\ unmet*) cat $here/unmet 2>/dev/null || true ;;
esac
`;

const GROUPS = ['build', 'torch', 'torch-cpu', 'runtime', 'cuda', 'dev', 'smollm2'];
let root: string;
let python: string;

beforeEach(() => {
  const lock = (name: string) => [`py_worker/requirements/${name}.lock`, `pkg-${name}==1 --hash=sha256:0\n`];
  root = temporaryFolder({
    'tsconfig.json': '{}',
    ...Object.fromEntries(GROUPS.map(lock)),
    'py_worker/requirements/runtime.in': 'pkg-runtime\n',
    'py_worker/requirements/dev.in': 'pkg-dev\n',
  });
  python = join(root, 'python');
  writeFileSync(python, FAKE_PYTHON.replaceAll('HERE', root));
  chmodSync(python, 0o755);
});

const places = () => findPlaces(root, {});
const step = (groups: readonly string[] = [], env: NodeJS.ProcessEnv = {}) =>
  pythonEnvironment(places(), { AMMD_PYTHON: python, ...env }, groups);

/** What the fake Python was made to do since the last call. */
function calls(): string[] {
  const file = join(root, 'calls');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  rmSync(file);
  return lines;
}

describe('pythonEnvironment', () => {
  test('is made once, with hashes checked, and then ready', async () => {
    expect(step().ready()).toBe(false);
    await step().run();
    expect(calls()).toEqual([
      'venv',
      '-r build.lock',
      '--no-build-isolation -r torch.lock',
      '--no-build-isolation -r runtime.lock',
    ]);
    expect(step().ready()).toBe(true);
    expect(step().python).toBe(join(root, '.venv/bin/python'));
  });

  test('gets the CUDA packages when the torch that got installed wants them', async () => {
    writeFileSync(join(root, 'cuda'), 'triton\n');
    await step().run();
    expect(calls().at(-1)).toBe('--no-build-isolation -r cuda.lock');
  });

  test('gets a CPU-only torch where pip is offered one', async () => {
    writeFileSync(join(root, 'cpu_wheel'), '');
    await step().run();
    expect(calls()[2]).toBe('--no-build-isolation -r torch-cpu.lock');
  });

  test('gets the default torch where a constraint of the user names one, and pip says so', async () => {
    writeFileSync(
      join(root, 'network'),
      'ERROR: Cannot install torch==2.13.0+cpu\nERROR: ResolutionImpossible: for help\n',
    );
    await step().run();
    expect(calls()[2]).toBe('--no-build-isolation -r torch.lock');
  });

  test('takes no gigabytes of CUDA because pip could not ask for the small wheel', async () => {
    writeFileSync(join(root, 'network'), 'Connection refused\n');
    await expect(step().run()).rejects.toThrow('pip cannot look for packages:\nConnection refused');
    expect(calls()).toEqual(['venv', '-r build.lock']);
  });

  test('a group asked for later is added, and kept from then on', async () => {
    await step().run();
    expect(step(['dev']).ready()).toBe(false);
    calls();
    await step(['dev']).run();
    expect(calls()).toEqual(['--no-build-isolation -r dev.lock']);
    writeFileSync(join(places().requirements, 'dev.lock'), 'pkg-dev==2 --hash=sha256:0\n');
    await step().run();
    expect(calls()).toEqual(['--no-build-isolation -r dev.lock']);
  });

  test('AMMD_PIP_ARGS goes to pip', async () => {
    await step([], { AMMD_PIP_ARGS: '--find-links "/my wheels"' }).run();
    expect(calls()[1]).toBe('-r build.lock --find-links /my wheels');
  });

  test('a failed installation shows what pip said and how to go on; the next one starts afresh', async () => {
    writeFileSync(join(root, 'broken'), '');
    await expect(step().run()).rejects.toMatchObject({
      message: expect.stringMatching(/build\.lock\) failed \(exit code 1\)[\s\S]*no matching distribution/),
      remedy: expect.stringContaining('run the command again'),
    });
    expect(step().ready()).toBe(false);
    rmSync(join(root, 'broken'));
    calls();
    await step().run();
    expect(calls()[0]).toBe('venv');
    expect(step().ready()).toBe(true);
  });

  test('an interpreter that went away, or another one named, makes it anew', async () => {
    await step().run();
    rmSync(join(root, '.venv/bin/python'));
    expect(step().ready()).toBe(false);
    await step().run();
    expect(calls().filter((call) => call === 'venv')).toHaveLength(2);
    expect(step([], { AMMD_PYTHON: '/other' }).ready()).toBe(false);
    expect(step([], { AMMD_PYTHON: undefined }).ready()).toBe(true);
  });

  test('one that ammd did not make is taken over when it works, and never deleted', async () => {
    mkdirSync(join(root, '.venv/bin'), { recursive: true });
    writeFileSync(join(root, '.venv/mine'), '');
    await expect(step().run()).rejects.toMatchObject({ remedy: expect.stringContaining('AMMD_VENV') });
    writeFileSync(join(root, '.venv/bin/python'), readFileSync(python), { mode: 0o755 });
    await step().run();
    expect(calls()).not.toContain('venv');
    expect(existsSync(join(root, '.venv/mine'))).toBe(true);
    expect(step().ready()).toBe(true);
  });

  test('one that ammd did not make and left half installed is refused, not deleted', async () => {
    mkdirSync(join(root, '.venv/bin'), { recursive: true });
    writeFileSync(join(root, '.venv/bin/python'), readFileSync(python), { mode: 0o755 });
    writeFileSync(join(root, 'broken'), '');
    await expect(step().run()).rejects.toThrow('Installing Python packages');
    await expect(step().run()).rejects.toThrow('cannot be used');
    expect(existsSync(join(root, '.venv/bin/python'))).toBe(true);
  });

  test('an empty folder is as good as none', async () => {
    mkdirSync(join(root, '.venv'));
    await step().run();
    expect(calls()[0]).toBe('venv');
  });

  test('another version’s packages are replaced only where that was asked for', async () => {
    await step(['dev']).run();
    calls();
    writeFileSync(join(places().requirements, 'torch.lock'), 'pkg-torch==2 --hash=sha256:0\n');
    const env = { AMMD_PYTHON: python };
    await expect(pythonEnvironment(places(), env, [], false).run()).rejects.toMatchObject({
      message: expect.stringContaining('another version of ammd (torch)'),
      remedy: expect.stringMatching(/npx ammd setup.*AMMD_VENV/),
    });
    expect(calls()).toEqual([]);
    await pythonEnvironment(places(), env, [], true).run();
    expect(calls()).toEqual(['--no-build-isolation -r torch.lock']);
    // What was never there is added by any command.
    await pythonEnvironment(places(), env, ['smollm2'], false).run();
    expect(calls()).toEqual(['--no-build-isolation -r smollm2.lock']);
  });

  test('packages that do not fit together are an error, but not what an extra leaves out on purpose', async () => {
    writeFileSync(join(root, 'check'), 'pkg-smollm2 1 requires llm, which is not installed.\n');
    await step(['smollm2']).run();
    writeFileSync(join(root, 'check'), 'pkg-runtime 1 requires numpy, which is not installed.\n');
    await expect(step(['dev']).run()).rejects.toThrow('pkg-runtime 1 requires numpy');
  });

  test('unknown packages are refused with the names that exist', () => {
    expect(() => step(['smollm3'])).toThrow(expect.objectContaining({ remedy: 'Known: dev, smollm2.' }));
  });
});

describe('checkExisting', () => {
  test('accepts the folder of an environment, or its interpreter', () => {
    mkdirSync(join(root, 'env/bin'), { recursive: true });
    writeFileSync(join(root, 'env/bin/python'), readFileSync(python), { mode: 0o755 });
    expect(checkExisting(places(), join(root, 'env'), [])).toBe(join(root, 'env/bin/python'));
    expect(checkExisting(places(), python, ['dev'])).toBe(python);
  });

  test('names what is missing and the command that installs it', () => {
    writeFileSync(join(root, 'unmet'), 'torch>=2.11 (2.9.0 is installed)\n');
    expect(() => checkExisting(places(), python, ['dev'])).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('torch>=2.11 (2.9.0 is installed)'),
        remedy: expect.stringMatching(/python -m pip install -r \S+runtime\.in -r \S+dev\.in$/),
      }),
    );
  });

  test('refuses what is no Python', () => {
    expect(() => checkExisting(places(), join(root, 'nowhere'), [])).toThrow('no Python can be run there');
  });
});
