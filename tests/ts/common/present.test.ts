import { expect, test } from '@jest/globals';
import { present } from '../../../ts/common/present.js';

test.each([0, '', false])('%p is there', (value) => {
  expect(present(value, 'value')).toBe(value);
});

test.each([undefined, null])('%p is refused by what is missing', (value) => {
  expect(() => present(value, 'dataset train in a plan')).toThrow(
    new RangeError('there is no dataset train in a plan'),
  );
});
