import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EndpointError } from '../wire/errors.js';
import { type CurveServer, newRunKeys } from '../wire/security.js';

/** `ipc`: a socket file that only this user can reach. `tcp`: encrypted, for a worker elsewhere. */
export type Transport = 'ipc' | 'tcp';

/** A fresh address for one worker, with all it needs to be admitted. */
export interface Endpoint {
  readonly address: string;
  readonly token: string;
  readonly curve: CurveServer | undefined;
  /** Environment of the worker that may connect. */
  readonly environment: Readonly<Record<string, string>>;
  remove(): Promise<void>;
}

// The kernel's sockaddr_un has 108 bytes for the path, its terminating zero included.
const MAX_IPC_PATH_BYTES = 107;
const FOLDER_PREFIX = 'ammd-';
const SOCKET_NAME = 'worker.sock';
const RANDOM_CHARACTERS = 6;

/** @throws EndpointError: the path of a socket in this folder would be too long. */
export function ipcFolderIn(parent: string): string {
  const longest = path.join(parent, `${FOLDER_PREFIX}${'X'.repeat(RANDOM_CHARACTERS)}`, SOCKET_NAME);
  if (Buffer.byteLength(longest) > MAX_IPC_PATH_BYTES) {
    throw new EndpointError(`${parent} is too long a path for a socket file in it.`, {
      hint: `Set TMPDIR to a folder with a path of at most ${MAX_IPC_PATH_BYTES - Buffer.byteLength(longest) + Buffer.byteLength(parent)} bytes.`,
    });
  }
  return path.join(parent, FOLDER_PREFIX);
}

/**
 * @param host address to listen on, for `tcp`.
 * @throws EndpointError: no room for a socket file.
 */
export async function newEndpoint(transport: Transport, host = '127.0.0.1'): Promise<Endpoint> {
  const token = randomBytes(32).toString('base64url');
  if (transport === 'tcp') {
    const { server, client } = await newRunKeys();
    return {
      address: `tcp://${host}:*`,
      token,
      curve: { server, allowedClients: [client.publicKey] },
      environment: {
        AMMD_TOKEN: token,
        AMMD_CURVE_SERVER_KEY: server.publicKey,
        AMMD_CURVE_PUBLIC_KEY: client.publicKey,
        AMMD_CURVE_SECRET_KEY: client.secretKey,
      },
      remove: async () => {},
    };
  }
  const folder = await mkdtemp(ipcFolderIn(tmpdir())); // made with mode 0700
  return {
    address: `ipc://${path.join(folder, SOCKET_NAME)}`,
    token,
    curve: undefined,
    environment: { AMMD_TOKEN: token },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
