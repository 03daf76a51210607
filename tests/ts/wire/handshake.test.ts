import { describe, expect, test } from '@jest/globals';
import type { WireError } from '../../../ts/wire/errors.js';
import { readHello } from '../../../ts/wire/handshake.js';
import { PROTOCOL_HASH, PROTOCOL_VERSION } from '../../../ts/wire/protocol.gen.js';
import { HELLO } from './fake_link.js';

function refusal(body: unknown): WireError {
  try {
    readHello(body, 'secret');
  } catch (error) {
    return error as WireError;
  }
  throw new Error('nothing was refused');
}

describe('readHello', () => {
  test('takes a hello that agrees', () => {
    expect(readHello(HELLO, 'secret')).toEqual(HELLO);
  });

  test('another version is refused with both versions', () => {
    const error = refusal({ ...HELLO, protocol_version: 99 });
    expect(error.code).toBe('version_mismatch');
    expect(error.message).toContain(`protocol ${PROTOCOL_VERSION} (${PROTOCOL_HASH.slice(0, 12)})`);
    expect(error.message).toContain('the worker 99');
  });

  test('the same version from another definition is refused', () => {
    const error = refusal({ ...HELLO, protocol_hash: 'deadbeef' });
    expect(error.code).toBe('version_mismatch');
    expect(error.message).toContain('deadbeef');
  });

  test('another version may have other fields: it is told the version, not the fields', () => {
    const { packages, ...rest } = HELLO;
    expect(refusal({ ...rest, colour: packages, protocol_version: 2 }).code).toBe('version_mismatch');
  });

  test('a wrong token is refused before anything is told', () => {
    for (const token of ['', 'secres', 'secret-and-more']) {
      const error = refusal({ ...HELLO, token, protocol_version: 99 });
      expect(error.code).toBe('unauthorized');
      expect(error.message).not.toContain('99');
    }
  });

  test.each([
    ['no map', 7],
    ['another message', { kind: 'pong' }],
    ['a hello with an unknown field', { ...HELLO, extra: 1 }],
  ])('%s is malformed', (_name, body) => {
    expect(refusal(body).code).toBe('malformed');
  });
});
