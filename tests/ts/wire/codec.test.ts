import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkSizes, decodeBody, decodeMessage, encodeMessage } from '../../../ts/wire/codec.js';
import type { WireError } from '../../../ts/wire/errors.js';
import { type ControllerMessage, LIMITS } from '../../../ts/wire/protocol.gen.js';

const request = (args: Record<string, unknown>): ControllerMessage => ({
  kind: 'request',
  id: 1,
  epoch: 0,
  op: 'drop',
  args,
});

const argsOf = (frames: readonly [Uint8Array, ...Uint8Array[]]) =>
  (decodeBody(frames[0]) as { args: Record<string, unknown> }).args;

function refusal(action: () => unknown): WireError {
  try {
    action();
  } catch (error) {
    return error as WireError;
  }
  throw new Error('nothing was refused');
}

describe('encodeMessage', () => {
  test('what it writes is read back equal, whatever plain value', () => {
    const scalar = fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.maxSafeInteger(),
      fc.double().filter((value) => !Number.isInteger(value) || Number.isSafeInteger(value)),
      fc.string({ unit: 'binary' }),
    );
    // msgpackr writes another key in its place, on purpose.
    const key = fc.string().filter((text) => text !== '__proto__');
    const value = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, scalar, fc.array(tie('value')), fc.dictionary(key, tie('value'))),
    })).value;
    fc.assert(
      fc.property(value, (item) => {
        // MessagePack has one zero among the integers, and objects come back with an ordinary prototype.
        const plain: unknown = JSON.parse(JSON.stringify({ item }, (_, v) => (Number.isNaN(v) ? 'NaN' : v)));
        const read = JSON.parse(
          JSON.stringify(argsOf(encodeMessage(request({ item }))), (_, v) => (Number.isNaN(v) ? 'NaN' : v)),
        );
        expect(read).toEqual(plain);
      }),
    );
  });

  test('whole numbers from 2^32 to 2^53 are written as integers, not as floats', () => {
    for (const seed of [2 ** 32, Number.MAX_SAFE_INTEGER, -(2 ** 31) - 1, Number.MIN_SAFE_INTEGER]) {
      const [body] = encodeMessage(request({ seed }));
      expect(argsOf([body])).toEqual({ seed });
      expect([0xcf, 0xd3]).toContain(body[body.length - 9]);
    }
  });

  test.each([
    ['undefined', { rows: [undefined] }, 'args.rows[0] is undefined'],
    ['a typed array', { data: new Float32Array(1) }, 'args.data is a Float32Array'],
    ['a whole number of 2^53', { seed: 2 ** 53 }, 'args.seed is 9007199254740992'],
    ['a bigint', { seed: 1n }, 'args.seed is bigint'],
    ['a function', { f: () => 1 }, 'args.f is function'],
    ['a Date', { at: new Date(0) }, 'args.at is a Date'],
    ['a Map', { map: new Map() }, 'args.map is a Map'],
  ])('refuses %s by its path', (_name, args, message) => {
    const error = refusal(() => encodeMessage(request(args)));
    expect(error.code).toBe('invalid_argument');
    expect(error.message).toContain(message);
    expect(error.applied).toBe(false);
  });

  test('refuses what nests too deep, and takes the deepest that is allowed', () => {
    const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)]);
    // The message and its args are two levels already.
    const [body] = encodeMessage(request({ x: nested(LIMITS.maxDepth - 2) }));
    expect(decodeBody(body)).toBeDefined();
    expect(refusal(() => encodeMessage(request({ x: nested(LIMITS.maxDepth - 1) }))).message).toContain(
      'deeper',
    );
  });

  test('refuses a body beyond the limit', () => {
    const text = 'x'.repeat(LIMITS.maxBodyBytes);
    expect(refusal(() => encodeMessage(request({ text }))).code).toBe('oversize');
  });
});

test('frames beyond the limits are refused', () => {
  const oversize = (...frames: readonly Uint8Array[]) =>
    refusal(() => checkSizes(new Uint8Array(0), frames)).code;
  expect(oversize(new Uint8Array(LIMITS.maxFrameBytes + 1))).toBe('oversize');
  expect(oversize(...Array.from({ length: LIMITS.maxFrames + 1 }, () => new Uint8Array(0)))).toBe('oversize');
});

describe('decodeBody', () => {
  const refuses = (hex: string) => refusal(() => decodeBody(Buffer.from(hex, 'hex'))).message;

  test.each([
    ['nothing', '', 'ends in the middle'],
    ['a cut string', 'a3', 'byte 0: it announces more than it holds'],
    ['a cut float', '91cb0000', 'byte 1: it announces more than it holds'],
    ['a cut 64-bit integer', 'cf00', 'ends in the middle'],
    ['a cut length', 'dc00', 'ends in the middle'],
    ['a list of 2^32 - 1 values in five bytes', 'ddffffffff', 'announces more than it holds'],
    ['a map of 2^32 - 1 entries in five bytes', 'dfffffffff', 'announces more than it holds'],
    ['a string of 2^32 - 1 bytes', 'dbffffffff', 'announces more than it holds'],
    ['bytes after the value', 'c0c0', 'bytes follow'],
    ['a map with a number as key', '810101', 'a map key is no string'],
    ['binary', 'c40100', '0xc4 is not allowed'],
    ['an extension (timestamp)', 'd6ff00000000', '0xd6 is not allowed'],
    ['a record of msgpackr', 'd4720040', '0xd4 is not allowed'],
    ['the unused type byte', 'c1', '0xc1 is not allowed'],
    ['an integer of 2^53', 'cf0020000000000000', 'outside'],
    ['an integer of -2^63', 'd38000000000000000', 'outside'],
  ])('refuses %s', (_name, hex, message) => {
    expect(refuses(hex)).toContain(message);
  });

  test('refuses a million nested lists without recursion', () => {
    expect(refusal(() => decodeBody(new Uint8Array(1_000_000).fill(0x91))).message).toContain('deeper');
  });

  test.each([
    ['fixed', '82a16101a16290', { a: 1, b: [] }],
    ['str 8, str 16, str 32', '93d90161da000161db0000000161', ['a', 'a', 'a']],
    ['uint 8 to 64', '94ccffcdffffceffffffffcf001fffffffffffff', [255, 65535, 2 ** 32 - 1, 2 ** 53 - 1]],
    [
      'int 8 to 64',
      '95ffd080d18000d280000000d3ffe0000000000001',
      [-1, -128, -32768, -(2 ** 31), 1 - 2 ** 53],
    ],
    [
      'array 16, array 32, map 16, map 32',
      '94dc000101dd0000000101de0001a16101df00000001a16101',
      [[1], [1], { a: 1 }, { a: 1 }],
    ],
    ['floats', '93ca3f800000cb7ff0000000000000cb7ff8000000000000', [1, Number.POSITIVE_INFINITY, Number.NaN]],
  ])('reads %s', (_name, hex, value) => {
    expect(decodeBody(Buffer.from(hex, 'hex'))).toEqual(value);
  });

  test('no bytes make it do anything but return or refuse', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          decodeBody(bytes);
        } catch (error) {
          expect((error as WireError).code).toBe('malformed');
        }
      }),
    );
  });
});

describe('decodeMessage', () => {
  test('names the field that does not fit', () => {
    const body = Buffer.from('83a46b696e64a4706f6e67a56e6f6e6365a178a870726f677265737300', 'hex');
    const error = refusal(() => decodeMessage([body]));
    expect(error.code).toBe('malformed');
    expect(error.message).toContain('nonce');
  });

  test('checks sizes before it looks at the bytes', () => {
    expect(refusal(() => decodeMessage([new Uint8Array(LIMITS.maxBodyBytes + 1)])).code).toBe('oversize');
  });
});
