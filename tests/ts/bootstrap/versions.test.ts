import { describe, expect, test } from '@jest/globals';
import { checkNode, findPython, probePython } from '../../../ts/bootstrap/versions.mjs';

const python = (version: readonly number[], canMake = true) => ({
  version,
  path: `/usr/bin/python${version[0]}.${version[1]}`,
  can_make: canMake,
});

describe('checkNode', () => {
  test.each(['20.19.0', '20.20.2', '22.0.0', '24.1.0'])('accepts %s', (version) => {
    expect(() => checkNode(version)).not.toThrow();
  });

  test.each(['18.20.4', '20.18.3', '20.9.0'])('refuses %s and says what to do', (version) => {
    expect(() => checkNode(version)).toThrow(
      expect.objectContaining({
        message: expect.stringContaining(`Node ${version} is too old: ammd needs 20.19`),
        remedy: expect.stringContaining('newer Node'),
      }),
    );
  });
});

describe('findPython', () => {
  test('takes the first that fits, passing over what is missing, too old or incomplete', () => {
    const there: Record<string, ReturnType<typeof python>> = {
      'python3.12': python([3, 12, 1], false),
      'python3.11': python([3, 11, 7]),
      python3: python([3, 9, 2]),
    };
    expect(findPython(undefined, (name) => there[name])).toEqual(python([3, 11, 7]));
  });

  test('looks only at the one that the user named', () => {
    const asked: string[] = [];
    const probe = (name: string) => {
      asked.push(name);
      return python([3, 13, 0]);
    };
    expect(findPython('/opt/python', probe).version).toEqual([3, 13, 0]);
    expect(asked).toEqual(['/opt/python']);
  });

  test.each([
    [undefined, 'not there'],
    [python([3, 10, 13]), '3.10.13 is too old'],
    [python([3, 15, 0]), '3.15.0 is newer than the pinned packages'],
  ])('says why %j is refused and what to do', (found, reason) => {
    expect(() => findPython('mine', () => found)).toThrow(
      expect.objectContaining({
        message: `Found no Python 3.11 to 3.14 (mine: ${reason}).`,
        remedy: expect.stringContaining('AMMD_PYTHON='),
      }),
    );
  });

  test('a missing python3-venv gets told with its remedy', () => {
    expect(() => findPython(undefined, () => python([3, 11, 2], false))).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('venv and ensurepip are missing'),
        remedy: expect.stringContaining('apt-get install python3.11-venv'),
      }),
    );
  });

  test('a program that cannot be run, or is no Python, is not there', () => {
    expect(probePython('/no/such/python')).toBeUndefined();
    expect(probePython('false')).toBeUndefined();
  });

  test('asks a real interpreter', () => {
    const probed = probePython(process.env.AMMD_WORKER_PYTHON ?? 'python3');
    expect(probed?.version).toHaveLength(3);
    expect(probed?.path).toContain('python');
  });
});
