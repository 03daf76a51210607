import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { curveKeyPair } from 'zeromq';
import { decodeZ85, judgeZapRequest, newRunKeys } from '../../../ts/wire/security.js';

const Z85 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

/** The other direction, by long division of big integers. */
function encodeZ85(bytes: Uint8Array): string {
  let text = '';
  for (let start = 0; start < bytes.length; start += 4) {
    let value = BigInt(`0x${Buffer.from(bytes.subarray(start, start + 4)).toString('hex')}`);
    let group = '';
    for (let digit = 0; digit < 5; digit += 1) {
      group = (Z85[Number(value % 85n)] ?? '') + group;
      value /= 85n;
    }
    text += group;
  }
  return text;
}

describe('decodeZ85', () => {
  test('agrees with the example of the specification', () => {
    expect(Buffer.from(decodeZ85('HelloWorld')).toString('hex')).toBe('864fd26fb559f75b');
  });

  test('is the inverse of encoding', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        expect(Buffer.from(decodeZ85(encodeZ85(bytes)))).toEqual(Buffer.from(bytes));
      }),
    );
  });
});

describe('judgeZapRequest', () => {
  const allowed = decodeZ85(curveKeyPair().publicKey);
  const request = (mechanism: string, ...credentials: Uint8Array[]) =>
    ['1.0', 'id', 'ammd', '127.0.0.1', '', mechanism]
      .map((text): Uint8Array => Buffer.from(text))
      .concat(credentials);
  const status = (frames: readonly Uint8Array[]) => judgeZapRequest(frames, [allowed])[2];

  test('admits the keys given out', () => {
    expect(status(request('CURVE', allowed))).toBe('200');
  });

  test('refuses other keys, other mechanisms, and what it does not understand', () => {
    expect(status(request('CURVE', decodeZ85(curveKeyPair().publicKey)))).toBe('400');
    expect(status(request('CURVE', allowed.subarray(0, 31)))).toBe('400');
    expect(status(request('NULL'))).toBe('400');
    expect(status(request('PLAIN', Buffer.from('user'), Buffer.from('password')))).toBe('400');
    expect(status([Buffer.from('2.0'), ...request('CURVE', allowed).slice(1)])).toBe('400');
    expect(status([])).toBe('400');
  });
});

test('every run has keys of its own', async () => {
  const [a, b] = await Promise.all([newRunKeys(), newRunKeys()]);
  expect(new Set([a.server.secretKey, a.client.secretKey, b.server.secretKey, b.client.secretKey]).size).toBe(
    4,
  );
});
