import { expect, test } from '@jest/globals';
import { promptRow } from '../../../ts/cli/generate.js';

test('a prompt is a row without references, after what the system says a conversation', () => {
  expect(promptRow('Hi', undefined)).toEqual({ instruction: 'Hi', output: [] });
  expect(promptRow('Hi', 'Be brief.')).toEqual({
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hi' },
    ],
  });
});
