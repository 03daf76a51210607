import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { lockHash, writeState } from '../../../../ts/bootstrap/environment_state.mjs';
import { BASE_GROUPS } from '../../../../ts/bootstrap/groups.mjs';
import { findPlaces, type Places } from '../../../../ts/bootstrap/places.mjs';
import { workerPython } from '../../../../ts/run/workers/python.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';

let root: string;
beforeEach(() => {
  root = temporaryFolder(
    Object.fromEntries(BASE_GROUPS.map((name) => [`py_worker/requirements/${name}.lock`, `${name}==1\n`])),
  );
});

/** What the set-up leaves when it is done. */
function makeEnvironment(places: Places, installing = ''): string {
  const python = path.join(places.environment, 'bin', 'python');
  mkdirSync(path.dirname(python), { recursive: true });
  writeFileSync(python, '');
  const installed = Object.fromEntries(BASE_GROUPS.map((group) => [group, lockHash(places, group)]));
  writeState(places, { created: true, named: '', interpreter: python, installing, installed });
  return python;
}

const notSetUp = expect.objectContaining({
  code: 'python_missing',
  hint: expect.stringContaining('npx ammd setup'),
});

describe('the Python of a script’s worker', () => {
  test('is the one named', () => {
    expect(workerPython({ AMMD_WORKER_PYTHON: '/my/python', AMMD_PYTHON_ENV: '/other' }, root)).toBe(
      '/my/python',
    );
  });

  test('or that of the environment the user keeps, by its folder or its interpreter', () => {
    expect(workerPython({ AMMD_PYTHON_ENV: root }, root)).toBe(path.join(root, 'bin/python'));
    expect(workerPython({ AMMD_PYTHON_ENV: '/env/bin/python3.12' }, root)).toBe('/env/bin/python3.12');
  });

  test.each([
    ['its default place', (folder: string) => ({ XDG_DATA_HOME: folder })],
    ['a place of the user’s', (folder: string) => ({ AMMD_VENV: path.join(folder, 'my venv') })],
  ])('or the one that the set-up made in %s', (_, environmentIn) => {
    const env = environmentIn(path.join(root, 'data'));
    expect(() => workerPython(env, root)).toThrow(notSetUp);
    const python = makeEnvironment(findPlaces(root, env));
    expect(workerPython(env, root)).toBe(python);
  });

  test('one that is half made, made for other packages, or gone is refused', () => {
    const env = { AMMD_VENV: path.join(root, 'venv') };
    const places = findPlaces(root, env);
    makeEnvironment(places, 'torch');
    expect(() => workerPython(env, root)).toThrow(notSetUp);

    const python = makeEnvironment(places);
    const lock = path.join(places.requirements, 'torch.lock');
    writeFileSync(lock, 'torch==2\n');
    expect(() => workerPython(env, root)).toThrow(notSetUp);
    writeFileSync(lock, 'torch==1\n');
    expect(workerPython(env, root)).toBe(python);

    rmSync(python);
    expect(() => workerPython(env, root)).toThrow(notSetUp);
  });
});
