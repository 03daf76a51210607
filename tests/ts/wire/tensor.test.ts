import { describe, expect, test } from '@jest/globals';
import { readTensor } from '../../../ts/wire/tensor.js';

const bytesOf = (values: Float32Array | Int32Array) => new Uint8Array(values.buffer);

describe('readTensor', () => {
  test('reads elements in row-major order, from any address', () => {
    const padded = Buffer.concat([Buffer.alloc(1), bytesOf(new Int32Array([1, -1, 7, 2 ** 31 - 1]))]);
    const reference = { dtype: 'int32', shape: [2, 2], frame: 1 };
    const read = readTensor(reference, 'int32', [Buffer.alloc(0), padded.subarray(1)]);
    expect(Array.from(read)).toEqual([1, -1, 7, 2 ** 31 - 1]);
  });

  test('owns its memory', () => {
    const frame = bytesOf(new Float32Array([1.5]));
    const read = readTensor({ dtype: 'float32', shape: [1], frame: 0 }, 'float32', [frame]);
    frame.fill(0);
    expect(read[0]).toBe(1.5);
  });

  test('an empty tensor has no bytes', () => {
    expect(
      readTensor({ dtype: 'float32', shape: [0, 5], frame: 0 }, 'float32', [Buffer.alloc(0)]),
    ).toHaveLength(0);
  });

  test.each([
    ['another dtype', { dtype: 'float64', shape: [1], frame: 0 }, 'of dtype float64, not float32'],
    ['no such frame', { dtype: 'float32', shape: [1], frame: 1 }, 'frame 1 of 1'],
    ['another size', { dtype: 'float32', shape: [2], frame: 0 }, 'has 4 bytes'],
  ])('refuses %s', (_name, reference, message) => {
    expect(() => readTensor(reference, 'float32', [new Uint8Array(4)])).toThrow(message);
  });
});
