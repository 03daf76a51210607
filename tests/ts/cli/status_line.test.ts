import { expect, test } from '@jest/globals';
import { openStatusLine } from '../../../ts/cli/status_line.js';

/** A terminal of 20 columns that remembers what it was told. */
function terminal(isTTY: boolean) {
  const told: string[] = [];
  const stream = {
    isTTY,
    columns: 20,
    write: (text: string) => told.push(text),
    cursorTo: (column: number) => told.push(`to ${column}`),
    clearLine: (direction: number) => told.push(`clear ${direction}`),
  };
  return { told, stream: stream as unknown as NodeJS.WriteStream };
}

test('on a terminal one line is redrawn, cut to its width, and cleared', () => {
  const { told, stream } = terminal(true);
  const line = openStatusLine(stream);
  line.show('seen, greedy: 128 of 500 rows');
  line.clear();
  expect(told).toEqual(['to 0', 'clear 0', 'seen, greedy: 128 o', 'to 0', 'clear 0']);
});

test('elsewhere nothing is written', () => {
  const { told, stream } = terminal(false);
  const line = openStatusLine(stream);
  line.show('text');
  line.clear();
  expect(told).toEqual([]);
});
