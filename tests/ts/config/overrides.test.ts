import { expect, test } from '@jest/globals';
import { parseOverrides } from '../../../ts/config/overrides.js';
import { toValue } from '../../../ts/config/tree.js';
import { configErrorOf } from './workspace.js';

const value = (...texts: readonly string[]) => {
  const tree = parseOverrides(texts);
  return tree === null ? null : toValue(tree);
};

test('values are YAML, later overrides win, and an equals sign may be part of the value', () => {
  expect(value('a.b=1', 'a.c={x: [1, y]}', 'a.b=true', 'd=x=y', 'e=')).toEqual({
    a: { b: true, c: { x: [1, 'y'] } },
    d: 'x=y',
    e: null,
  });
  expect(value()).toBeNull();
});

test.each(['a', '=1', 'a..b=1', '.a=1', 'a.=1'])('refuses %s with an example', (text) => {
  const message = configErrorOf(() => parseOverrides([text])).message;
  expect(message).toBe(`--set ${text}: expected KEY=VALUE, for example stages.ammd.training.steps=10`);
});

test('a syntax error names the override', () => {
  expect(configErrorOf(() => parseOverrides(['a=[1'])).message).toContain('--set a=[1');
});
