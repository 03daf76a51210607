import type { Context, Reply, Router } from 'zeromq';

/** Z85 keys of one party. */
export interface CurveKeys {
  readonly publicKey: string;
  readonly secretKey: string;
}

/** What makes a `tcp://` endpoint safe: the controller's keys and the only client keys it admits. */
export interface CurveServer {
  readonly server: CurveKeys;
  readonly allowedClients: readonly string[];
}

/** Keys for one run: the controller's, and those of the one worker it will admit. */
export interface RunKeys {
  readonly server: CurveKeys;
  readonly client: CurveKeys;
}

export async function newRunKeys(): Promise<RunKeys> {
  const { curveKeyPair } = await import('zeromq');
  return { server: curveKeyPair(), client: curveKeyPair() };
}

// The address at which libzmq looks for an authenticator (ZAP, ZeroMQ RFC 27), one per context.
const ZAP_ENDPOINT = 'inproc://zeromq.zap.01';
const ZAP_VERSION = '1.0';

/** The reply to one ZAP request: 200 for an allowed CURVE key, 400 for anything else. */
export function judgeZapRequest(
  request: readonly Uint8Array[],
  allowedClients: readonly Uint8Array[],
): readonly (string | Uint8Array)[] {
  const [version, requestId, , , , mechanism, key] = request;
  const understood =
    version !== undefined && Buffer.from(version).toString() === ZAP_VERSION && requestId !== undefined;
  const admitted =
    understood &&
    mechanism !== undefined &&
    Buffer.from(mechanism).toString() === 'CURVE' &&
    key !== undefined &&
    allowedClients.some((allowed) => Buffer.compare(allowed, key) === 0);
  const status = admitted ? ['200', 'OK'] : ['400', 'not an admitted client'];
  return [ZAP_VERSION, requestId ?? '', ...status, '', ''];
}

const Z85 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

/** Z85 text (ZeroMQ RFC 32) to bytes: five characters for four bytes, as base-85 digits. */
export function decodeZ85(text: string): Uint8Array {
  const bytes = Buffer.alloc((text.length * 4) / 5);
  for (let start = 0; start < text.length; start += 5) {
    const digits = Array.from(text.slice(start, start + 5), (character) => Z85.indexOf(character));
    bytes.writeUInt32BE(
      digits.reduce((value, digit) => value * 85 + digit, 0),
      (start * 4) / 5,
    );
  }
  return bytes;
}

/**
 * Answers libzmq's questions who may connect. Without an authenticator CURVE admits anybody who knows the server's
 * public key. Must be open before the guarded socket is bound.
 */
export class Gatekeeper {
  readonly #socket: Reply;

  private constructor(socket: Reply) {
    this.#socket = socket;
  }

  static async open(context: Context, allowedClients: readonly string[]): Promise<Gatekeeper> {
    const { Reply } = await import('zeromq');
    const socket = new Reply({ context });
    await socket.bind(ZAP_ENDPOINT);
    const gatekeeper = new Gatekeeper(socket);
    void gatekeeper.#answer(allowedClients.map(decodeZ85));
    return gatekeeper;
  }

  async #answer(allowed: readonly Uint8Array[]): Promise<void> {
    for await (const request of this.#socket) await this.#socket.send([...judgeZapRequest(request, allowed)]);
  }

  close(): void {
    this.#socket.close();
  }
}

/** Makes a socket speak CURVE as the server; to be called before it is bound. */
export function requireCurve(socket: Router, keys: CurveKeys): void {
  socket.curveServer = true;
  socket.curvePublicKey = keys.publicKey;
  socket.curveSecretKey = keys.secretKey;
  socket.zapDomain = 'ammd';
}
