import type { Router } from 'zeromq';
import { byteCount, type Frames } from './codec.js';
import { EndpointError } from './errors.js';
import { LIMITS } from './protocol.gen.js';
import { type CurveServer, Gatekeeper, requireCurve } from './security.js';

// ZeroMQ itself cuts off a peer that announces a frame beyond this; the codec answers what lies between.
const TRANSPORT_MAX_BYTES = 2 * LIMITS.maxFrameBytes;
// Time that closing waits for the last messages (a refusal, a bye) to leave.
const LINGER_MS = 1000;

export interface ChannelEvents {
  /** A message came in. */
  onMessage(peer: Buffer, frames: Frames): void;
  /** A message could not be sent, or the socket failed. */
  onError(peer: Buffer | undefined, error: Error): void;
}

export interface ChannelTraffic {
  readonly sentMessages: number;
  readonly sentBytes: number;
  readonly receivedMessages: number;
  readonly receivedBytes: number;
}

/** One bound ROUTER socket: moves frames between peers, knows no messages. */
export class Channel {
  readonly endpoint: string;
  readonly #socket: Router;
  readonly #gatekeeper: Gatekeeper | undefined;
  readonly #events: ChannelEvents;
  // zeromq.js permits one pending send per socket, so each waits for the one before.
  #lastSend: Promise<void> = Promise.resolve();
  #traffic = { sentMessages: 0, sentBytes: 0, receivedMessages: 0, receivedBytes: 0 };
  #closed = false;

  private constructor(
    socket: Router,
    gatekeeper: Gatekeeper | undefined,
    endpoint: string,
    events: ChannelEvents,
  ) {
    this.#socket = socket;
    this.#gatekeeper = gatekeeper;
    this.endpoint = endpoint;
    this.#events = events;
  }

  /**
   * @param endpoint `ipc://PATH`, or `tcp://HOST:PORT` (PORT may be `*`) together with keys.
   * @throws EndpointError: the endpoint cannot be bound, or is TCP without keys.
   */
  static async bind(
    endpoint: string,
    events: ChannelEvents,
    curve: CurveServer | undefined,
  ): Promise<Channel> {
    if (!endpoint.startsWith('ipc://') && curve === undefined) {
      throw new EndpointError(`${endpoint} would be open to everybody: TCP is served with CURVE only.`);
    }
    // Only now: it is native code, which importing the package alone must not load.
    const { Context, Router, context: sharedContext } = await import('zeromq');
    // An authenticator serves all sockets of its context, so guarded sockets have one of their own.
    const context = curve === undefined ? sharedContext : new Context();
    const socket = new Router({
      context,
      mandatory: true, // otherwise what is sent to a lost peer vanishes silently
      sendTimeout: 0, // with `mandatory` and no peer left, a send would otherwise wait for ever
      sendHighWaterMark: 0, // the bound is the pipeline's credits; ROUTER drops or blocks at a high-water mark
      receiveHighWaterMark: 0,
      maxMessageSize: TRANSPORT_MAX_BYTES,
      linger: LINGER_MS,
      heartbeatInterval: LIMITS.heartbeatMs,
      heartbeatTimeout: LIMITS.livenessMs,
    });
    let gatekeeper: Gatekeeper | undefined;
    try {
      if (curve !== undefined) {
        gatekeeper = await Gatekeeper.open(context, curve.allowedClients);
        requireCurve(socket, curve.server);
      }
      await socket.bind(endpoint);
    } catch (cause) {
      socket.close();
      gatekeeper?.close();
      throw new EndpointError(`Cannot listen on ${endpoint}: ${String(cause)}`, { cause });
    }
    const channel = new Channel(socket, gatekeeper, socket.lastEndpoint ?? endpoint, events);
    void channel.#receive();
    return channel;
  }

  /** Queues one message; failures come as events. */
  send(peer: Buffer, frames: Frames): void {
    if (this.#closed) return;
    this.#traffic.sentMessages += 1;
    this.#traffic.sentBytes += byteCount(frames);
    this.#lastSend = this.#lastSend.then(async () => {
      try {
        await this.#socket.send([peer, ...frames]);
      } catch (cause) {
        if (!this.#closed)
          this.#events.onError(peer, cause instanceof Error ? cause : new Error(String(cause)));
      }
    });
  }

  traffic(): ChannelTraffic {
    return { ...this.#traffic };
  }

  /** Sends what is queued, then closes. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#lastSend;
    this.#socket.close();
    this.#gatekeeper?.close();
  }

  async #receive(): Promise<void> {
    try {
      for await (const [peer, body, ...tensors] of this.#socket) {
        if (peer === undefined || this.#closed) continue;
        const frames: Frames = [body ?? Buffer.alloc(0), ...tensors];
        this.#traffic.receivedMessages += 1;
        this.#traffic.receivedBytes += byteCount(frames);
        this.#events.onMessage(peer, frames);
      }
    } catch (cause) {
      if (!this.#closed)
        this.#events.onError(undefined, cause instanceof Error ? cause : new Error(String(cause)));
    }
  }
}
