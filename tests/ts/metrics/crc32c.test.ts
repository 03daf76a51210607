import { expect, test } from '@jest/globals';
import { crc32c } from '../../../ts/metrics/crc32c.js';

test.each([
  // RFC 3720, appendix B.4, and the usual check value.
  ['32 zero bytes', new Uint8Array(32), 0x8a9136aa],
  ['32 bytes of ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['bytes 0 to 31', Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
  ['the digits 1 to 9', Buffer.from('123456789'), 0xe3069283],
  ['nothing', new Uint8Array(0), 0],
])('%s', (_name, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
});
