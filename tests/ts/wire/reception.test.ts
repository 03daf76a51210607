import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { pack, unpack } from 'msgpackr';
import { curveKeyPair, Dealer } from 'zeromq';
import { LIMITS } from '../../../ts/wire/protocol.gen.js';
import { Reception, type ReceptionOptions } from '../../../ts/wire/reception.js';
import { newRunKeys } from '../../../ts/wire/security.js';
import { HELLO } from './fake_link.js';

let folder: string;
const open: { close(): unknown }[] = [];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'ammd-test-'));
});
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});
afterAll(() => rm(folder, { recursive: true }));

async function listen(endpoint = `ipc://${folder}/socket`, options: Partial<ReceptionOptions> = {}) {
  const reception = await Reception.open(endpoint, { token: HELLO.token, ...options });
  open.push(reception);
  return reception;
}

function dealer(endpoint: string, options: object = {}): Dealer {
  const socket = new Dealer({ linger: 0, receiveTimeout: 5000, ...options });
  open.push(socket);
  socket.connect(endpoint);
  return socket;
}

async function heard(socket: Dealer): Promise<Record<string, unknown>> {
  const [body] = await socket.receive();
  return unpack(body as Buffer) as Record<string, unknown>;
}

describe('admission', () => {
  test('welcomes a worker that agrees, and carries messages both ways', async () => {
    const reception = await listen();
    const worker = dealer(reception.endpoint);
    await worker.send(pack(HELLO));
    expect(await heard(worker)).toMatchObject({ kind: 'welcome' });
    const connection = await reception.connection;
    expect(connection.hello).toEqual(HELLO);
    connection.ping();
    expect(await heard(worker)).toEqual({ kind: 'ping', nonce: 1 });
    const replied = new Promise<number>((resolve) =>
      connection.serve({
        onReply: (reply, tensors) => resolve(reply.id + tensors.length),
        onFailure: () => {},
        deadlineOf: () => undefined,
        running: () => undefined,
      }),
    );
    await worker.send([pack({ kind: 'reply', id: 7, result: {}, run_ms: 0, idle_ms: 0 }), Buffer.alloc(3)]);
    expect(await replied).toBe(8);
    const traffic = connection.traffic();
    expect(traffic).toMatchObject({ sentMessages: 2, receivedMessages: 2 });
    expect(traffic.receivedBytes).toBeGreaterThan(pack(HELLO).length);
  });

  test('a stranger is refused and the wait goes on; a second worker is refused', async () => {
    const reception = await listen();
    const stranger = dealer(reception.endpoint);
    await stranger.send(pack({ ...HELLO, token: 'guess' }));
    expect(await heard(stranger)).toMatchObject({ kind: 'refuse', error: { code: 'unauthorized' } });
    expect(reception.refusal?.code).toBe('unauthorized');
    await stranger.send('no MessagePack');
    expect(await heard(stranger)).toMatchObject({ kind: 'refuse', error: { code: 'malformed' } });

    const worker = dealer(reception.endpoint);
    await worker.send(pack(HELLO));
    expect(await heard(worker)).toMatchObject({ kind: 'welcome' });

    const second = dealer(reception.endpoint);
    await second.send(pack(HELLO));
    expect(await heard(second)).toMatchObject({ kind: 'refuse', error: { code: 'unauthorized' } });
    const connection = await reception.connection;
    second.close();
    stranger.close();
    connection.ping();
    expect(await heard(worker)).toMatchObject({ kind: 'ping' });
    expect(connection.failure).toBeUndefined();
  });

  test('another version ends the wait, with both versions in the message', async () => {
    const reception = await listen();
    const worker = dealer(reception.endpoint);
    await worker.send(pack({ ...HELLO, protocol_version: 2 }));
    const refused = (await heard(worker)) as { error: { message: string } };
    expect(refused.error.message).toContain('The controller speaks protocol 1');
    await expect(reception.connection).rejects.toMatchObject({ code: 'version_mismatch' });
  });
});

describe('the transport', () => {
  test('notices with the next ping that the worker is gone', async () => {
    const reception = await listen(undefined, {
      liveness: { heartbeatMs: 50, livenessMs: 60_000, stallMs: 60_000 },
    });
    const worker = dealer(reception.endpoint);
    await worker.send(pack(HELLO));
    const connection = await reception.connection;
    await heard(worker);
    worker.close();
    expect((await connection.failed).code).toBe('worker_lost');
    // Closing does not wait for what can no longer be sent.
    connection.send([Buffer.from('80', 'hex')]);
    await reception.close();
  });

  test('refuses TCP without keys, and an address that is taken', async () => {
    await expect(listen('tcp://127.0.0.1:*')).rejects.toThrow('CURVE only');
    await expect(listen('ipc:///nonexistent/folder/socket')).rejects.toMatchObject({ code: 'endpoint' });
  });

  test('over TCP admits the client key it gave out and no other', async () => {
    const keys = await newRunKeys();
    const curve = { server: keys.server, allowedClients: [keys.client.publicKey] };
    const reception = await listen('tcp://127.0.0.1:*', { curve });
    const clientOptions = (client: { publicKey: string; secretKey: string }) => ({
      curveServerKey: keys.server.publicKey,
      curvePublicKey: client.publicKey,
      curveSecretKey: client.secretKey,
    });
    // It knows the server's public key and even the token; without ZAP, CURVE alone would let it in.
    const stranger = dealer(reception.endpoint, { ...clientOptions(curveKeyPair()), receiveTimeout: 300 });
    await stranger.send(pack(HELLO));
    await expect(stranger.receive()).rejects.toThrow();

    const worker = dealer(reception.endpoint, clientOptions(keys.client));
    await worker.send(pack(HELLO));
    expect(await heard(worker)).toMatchObject({ kind: 'welcome' });
  });

  test('a reply beyond the limits ends the conversation', async () => {
    const reception = await listen();
    const worker = dealer(reception.endpoint);
    await worker.send(pack(HELLO));
    const connection = await reception.connection;
    await worker.send([Buffer.alloc(LIMITS.maxBodyBytes + 1)]);
    const failure = await connection.failed;
    expect(failure.code).toBe('worker_misbehaved');
    expect(failure.message).toContain('over the limit');
  });
});
