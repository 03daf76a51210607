import { expect, test } from '@jest/globals';
import { counted } from '../../../ts/common/counted.js';

test('one is singular', () => {
  expect([0, 1, 2].map((count) => counted(count, 'training seed'))).toEqual([
    '0 training seeds',
    '1 training seed',
    '2 training seeds',
  ]);
});
