import { stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ipcFolderIn, newEndpoint } from '../../../ts/worker/endpoint.js';

describe('newEndpoint', () => {
  test('ipc: a socket in a fresh folder that only this user can enter', async () => {
    const endpoint = await newEndpoint('ipc');
    const folder = path.dirname(endpoint.address.replace('ipc://', ''));
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect(endpoint.environment).toEqual({ AMMD_TOKEN: endpoint.token });
    await endpoint.remove();
    await expect(stat(folder)).rejects.toThrow('ENOENT');
  });

  test('tcp: only with keys, and the one client key that is admitted', async () => {
    const { address, curve, environment } = await newEndpoint('tcp');
    expect(address).toBe('tcp://127.0.0.1:*');
    expect(curve?.allowedClients).toEqual([environment.AMMD_CURVE_PUBLIC_KEY]);
    expect(environment.AMMD_CURVE_SERVER_KEY).toBe(curve?.server.publicKey);
    expect(Object.values(environment)).not.toContain(curve?.server.secretKey);
  });

  test('every endpoint has a token of its own, with 256 random bits', async () => {
    const [a, b] = [await newEndpoint('tcp'), await newEndpoint('tcp')];
    expect(a.token).not.toBe(b.token);
    expect(Buffer.from(a.token, 'base64url')).toHaveLength(32);
  });
});

describe('ipcFolderIn', () => {
  test('refuses a folder whose socket would have a path of more than 107 bytes', () => {
    const rest = '/ammd-XXXXXX/worker.sock'.length;
    expect(ipcFolderIn(`/${'x'.repeat(107 - rest - 1)}`)).toContain('ammd-');
    expect(() => ipcFolderIn(`/${'x'.repeat(107 - rest)}`)).toThrow('too long');
    // Bytes, not characters.
    expect(() => ipcFolderIn(`/${'ü'.repeat(50)}`)).toThrow('too long');
  });
});
