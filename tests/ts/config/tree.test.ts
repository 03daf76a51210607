import { describe, expect, test } from '@jest/globals';
import { locate, parseTree, toValue } from '../../../ts/config/tree.js';
import { configErrorOf } from './workspace.js';

const value = (text: string) => toValue(parseTree(text, 'f.yaml'));

describe('parsing', () => {
  test('keeps YAML 1.2 meaning: on and yes are text, 2e-3 a number, an empty value null', () => {
    expect(value('on: yes\nlr: 2e-3\nnone:\nlist: [1, true]')).toEqual({
      on: 'yes',
      lr: 0.002,
      none: null,
      list: [1, true],
    });
  });

  test('expands aliases', () => {
    expect(value('a: &x {b: 1}\nc: *x')).toEqual({ a: { b: 1 }, c: { b: 1 } });
  });

  test.each([
    ['a: 1\na: 2', 'f.yaml:2:1'],
    ['a: [1, 2', 'f.yaml:1:9'],
    ['1: x', 'f.yaml:1:1'],
    ['a: !!binary aGk=', 'f.yaml:1:13'],
  ])('refuses %j at %s', (text, place) => {
    expect(configErrorOf(() => parseTree(text, 'f.yaml')).message).toContain(place);
  });

  test('stops at aliases that expand without end', () => {
    const lines = ['a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]'];
    for (let i = 1; i < 7; i += 1) {
      const alias = `*a${i - 1}`;
      lines.push(`a${i}: &a${i} [${Array(10).fill(alias).join(', ')}]`);
    }
    expect(configErrorOf(() => parseTree(lines.join('\n'), 'f')).message).toContain(
      'more than 100000 values',
    );
  });
});

test('a value of a list knows where it was written', () => {
  expect(locate(parseTree('a: [1, 22]', 'f'), ['a', 1])).toEqual({ file: 'f', line: 1, column: 8 });
});
