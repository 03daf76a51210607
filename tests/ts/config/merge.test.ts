import { describe, expect, test } from '@jest/globals';
import { merge } from '../../../ts/config/merge.js';
import { locate, parseTree, toValue } from '../../../ts/config/tree.js';

const merged = (base: string, over: string) => toValue(merge(parseTree(base, 'a'), parseTree(over, 'b')));

describe('merging', () => {
  test('goes key by key, keeps the order of the base, and replaces lists and scalars', () => {
    const result = merged('{a: 1, b: {c: 2, d: [1, 2]}}', '{b: {d: [3], e: 4}, f: 5}');
    expect(result).toEqual({ a: 1, b: { c: 2, d: [3], e: 4 }, f: 5 });
    expect(Object.keys(result as object)).toEqual(['a', 'b', 'f']);
  });

  test.each([
    ['a method that says what it extends', '{extends: kd, adversary: {turns: 2}}', '{extends: ammd}'],
    ['a method that extends nothing', '{extends: kd, adversary: {turns: 2}}', '{extends: null, name: x}'],
    ['a schedule of another kind', '{kind: cosine, from: 1, to: 0}', '{kind: constant, value: 1}'],
    ['one whose keys are of a kind in the defaults', '{from: 1, warmup: 2}', '{kind: constant, value: 1}'],
    ['a stage in place of a model', '{source: x, dtype: float32}', '{stage: start}'],
    ['a model in place of a stage', '{stage: start, init: layers}', '{source: x}'],
  ])('%s starts afresh', (_, base, over) => {
    expect(merged(base, over)).toEqual(toValue(parseTree(over, 'b')));
  });

  test('one value of a reference or a schedule can be changed alone', () => {
    expect(merged('{stage: a, init: layers, layers: [0]}', '{layers: [1]}')).toEqual({
      stage: 'a',
      init: 'layers',
      layers: [1],
    });
    expect(merged('{stage: a, layers: [0]}', '{stage: b}')).toEqual({ stage: 'b', layers: [0] });
    expect(merged('{kind: cosine, from: 1}', '{kind: cosine, from: 2}')).toEqual({ kind: 'cosine', from: 2 });
    expect(merged('{from: 1}', '{kind: linear, to: 2}')).toEqual({ from: 1, kind: 'linear', to: 2 });
  });

  test('another kind that is none of a schedule changes nothing else', () => {
    const search = { kind: 'random', trials: 4, seed: 2 };
    expect(merged('{kind: tpe, trials: 4, seed: 2}', '{kind: random}')).toEqual(search);
  });

  test('a dataset may be called kind, stage, source or extends', () => {
    expect(merged('{a: {x: 1}}', '{stage: {x: 2}, extends: {x: 3}, kind: {x: 4}, source: {x: 5}}')).toEqual({
      a: { x: 1 },
      stage: { x: 2 },
      extends: { x: 3 },
      kind: { x: 4 },
      source: { x: 5 },
    });
  });

  test('positions survive a merge', () => {
    const tree = merge(parseTree('a:\n  b: 1\n  c: 2', 'base'), parseTree('a: {b: 3}', 'over'));
    expect(locate(tree, ['a', 'b'])).toEqual({ file: 'over', line: 1, column: 8 });
    expect(locate(tree, ['a', 'c'], 'key')).toEqual({ file: 'base', line: 3, column: 3 });
    expect(locate(tree, ['a', 'missing'])).toEqual({ file: 'over', line: 1, column: 1 });
  });
});
