import { Channel, type ChannelEvents } from './channel.js';
import { checkSizes, decodeBody, encodeMessage, type Frames } from './codec.js';
import { Connection, type ConnectionOptions, type Link } from './connection.js';
import { WireError } from './errors.js';
import { readHello } from './handshake.js';
import { type HelloMessage, PROTOCOL_VERSION } from './protocol.gen.js';
import type { CurveServer } from './security.js';

export interface ReceptionOptions extends ConnectionOptions {
  /** The run's token, which the worker must send back. */
  readonly token: string;
  /** Needed for TCP. */
  readonly curve?: CurveServer;
}

// A lost connection mostly means that the process ended; who started it learns why within this time.
const EXIT_NOTICE_MS = 500;

/** One endpoint that admits one worker. */
export class Reception implements ChannelEvents {
  readonly #options: ReceptionOptions;
  #channel: Channel | undefined;
  #peer: Buffer | undefined;
  #connection: Connection | undefined;
  #refusal: WireError | undefined;
  #admitted: (connection: Connection) => void = () => {};
  #turnedAway: (error: WireError) => void = () => {};
  /** Resolves with the worker; rejects with a WireError when it speaks another version. */
  readonly connection: Promise<Connection>;

  private constructor(options: ReceptionOptions) {
    this.#options = options;
    this.connection = new Promise((resolve, reject) => {
      this.#admitted = resolve;
      this.#turnedAway = reject;
    });
    // Whoever starts a worker races this against its exit and may stop listening.
    this.connection.catch(() => {});
  }

  /** @throws EndpointError: cannot be bound, or TCP without keys. */
  static async open(endpoint: string, options: ReceptionOptions): Promise<Reception> {
    const reception = new Reception(options);
    reception.#channel = await Channel.bind(endpoint, reception, options.curve);
    return reception;
  }

  /** The endpoint as bound, with its port. */
  get endpoint(): string {
    return this.#channel?.endpoint ?? '';
  }

  /** Why the last peer was refused, when one was. */
  get refusal(): WireError | undefined {
    return this.#refusal;
  }

  async close(): Promise<void> {
    if (this.#connection !== undefined) await this.#connection.close();
    await this.#channel?.close();
  }

  onMessage(peer: Buffer, frames: Frames): void {
    if (this.#peer === undefined) this.#greet(peer, frames);
    else if (this.#peer.equals(peer)) this.#connection?.receive(frames);
    else this.#refuse(peer, new WireError('unauthorized', 'This run has its worker already.'));
  }

  onError(peer: Buffer | undefined, error: Error): void {
    if (peer !== undefined && this.#peer?.equals(peer) !== true) return; // a stranger who left
    const lost = () =>
      this.#connection?.fail('worker_lost', 'The connection to the worker was lost', {
        cause: error,
        detail: error.message,
      });
    setTimeout(lost, EXIT_NOTICE_MS).unref();
  }

  #greet(peer: Buffer, frames: Frames): void {
    let hello: HelloMessage;
    try {
      const [body, ...tensors] = frames;
      checkSizes(body, tensors);
      hello = readHello(decodeBody(body), this.#options.token);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#refuse(peer, error);
      // Who has the token is the worker that was asked for; anybody else may be a stranger, so the wait goes on.
      if (error.code === 'version_mismatch') this.#turnedAway(error);
      return;
    }
    this.#peer = peer;
    this.#channel?.send(peer, encodeMessage({ kind: 'welcome', protocol_version: PROTOCOL_VERSION }));
    this.#connection = new Connection(this.#linkTo(peer), hello, this.#options);
    this.#admitted(this.#connection);
  }

  #refuse(peer: Buffer, error: WireError): void {
    this.#refusal = error;
    const info = { code: error.code, message: error.message, applied: false };
    this.#channel?.send(peer, encodeMessage({ kind: 'refuse', error: info }));
  }

  #linkTo(peer: Buffer): Link {
    const channel = this.#channel;
    if (channel === undefined) throw new Error('a message came before the endpoint was bound');
    return {
      send: (frames) => channel.send(peer, frames),
      traffic: () => channel.traffic(),
      close: () => channel.close(),
    };
  }
}
