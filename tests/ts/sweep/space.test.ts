import { expect, test } from '@jest/globals';
import { cornersOf, domainOf, endsOf, gridSize, trialsWanted } from '../../../ts/sweep/space.js';
import { resolveSmall } from './scene.js';

const INT = { int: [1, 8], step: 3, log: false } as const;

test('a dimension becomes a domain; a step that does not arrive ends below', () => {
  expect(domainOf({ uniform: [0, 1] })).toEqual({ kind: 'float', low: 0, high: 1, log: false });
  expect(domainOf({ log_uniform: [1, 10] })).toMatchObject({ kind: 'float', log: true });
  expect(domainOf({ ...INT, int: [1, 8] })).toEqual({ kind: 'int', low: 1, high: 7, step: 3, log: false });
  expect(domainOf({ values: ['kd', null, [1]] })).toEqual({ kind: 'values', values: ['kd', null, [1]] });
});

test('ends are those of a range, or all values', () => {
  expect(endsOf({ uniform: [0, 1] })).toEqual([0, 1]);
  expect(endsOf({ ...INT, int: [1, 3] })).toEqual([1]);
  expect(endsOf({ values: [1, 2, 3] })).toEqual([1, 2, 3]);
});

test('a grid has as many points as values times values, and none over a range of numbers', () => {
  expect(gridSize({ a: { values: [1, 2] }, b: { ...INT, int: [1, 8] } })).toBe(6);
  expect(gridSize({ a: { values: [1, 2] }, b: { uniform: [0, 1] } })).toBeNull();
});

test('a grid ends with its last point, a search when it is told', () => {
  const grid = 'space={stages.student.training.lr.from: {values: [1.0e-3, 1.0e-2]}}';
  const wanted = (...set: readonly string[]) => trialsWanted(resolveSmall(...set).config);
  expect(wanted()).toBe(4);
  expect(wanted(grid, 'search={kind: grid, trials: null}')).toBe(6);
  expect(wanted(grid, 'search={kind: grid, trials: 3}')).toBe(3);
  expect(wanted(grid, 'search={kind: grid, trials: 100}')).toBe(6);
});

test('all corners are tried while they are few', () => {
  expect(cornersOf({ a: { uniform: [0, 1] }, b: { values: ['x', 'y', 'z'] } })).toEqual([
    { a: 0, b: 'x' },
    { a: 0, b: 'y' },
    { a: 0, b: 'z' },
    { a: 1, b: 'x' },
    { a: 1, b: 'y' },
    { a: 1, b: 'z' },
  ]);
});

test('of many corners, each end once beside the first and the last of all others', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const space = Object.fromEntries(names.map((name) => [name, { uniform: [0, 1] as [number, number] }]));
  const corners = cornersOf(space);
  expect(corners).toHaveLength(2 * 7 * 2);
  for (const name of names)
    for (const value of [0, 1])
      expect(corners.filter((corner) => corner[name] === value).length).toBeGreaterThan(1);
  expect(corners).toContainEqual(Object.fromEntries(names.map((name) => [name, 1])));
});
