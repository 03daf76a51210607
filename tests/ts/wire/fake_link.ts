import { pack } from 'msgpackr';
import { decodeBody, type Frames } from '../../../ts/wire/codec.js';
import { Connection, type Link } from '../../../ts/wire/connection.js';
import { DEFAULT_LIVENESS, type LivenessLimits } from '../../../ts/wire/liveness.js';
import {
  type ControllerMessage,
  controllerMessageSchema,
  type ErrorCode,
  type HelloMessage,
  PROTOCOL_HASH,
  PROTOCOL_VERSION,
  type RequestMessage,
} from '../../../ts/wire/protocol.gen.js';

export const HELLO: HelloMessage = {
  kind: 'hello',
  protocol_version: PROTOCOL_VERSION,
  protocol_hash: PROTOCOL_HASH,
  packages: { python: '3.11' },
  devices: ['cpu'],
  pid: 1,
  token: 'secret',
};

/** A worker's side without a transport: keeps what was sent, and says what a test makes it say. */
export class FakeLink implements Link {
  readonly sent: ControllerMessage[] = [];
  closed = false;
  readonly connection: Connection;

  constructor(liveness: LivenessLimits = DEFAULT_LIVENESS, logTail: () => string = () => '') {
    this.connection = new Connection(this, HELLO, { liveness, logTail });
  }

  send([body]: Frames): void {
    this.sent.push(controllerMessageSchema.parse(decodeBody(body)));
  }

  traffic() {
    return { sentMessages: this.sent.length, sentBytes: 0, receivedMessages: 0, receivedBytes: 0 };
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  get requests(): readonly RequestMessage[] {
    return this.sent.filter((message) => message.kind === 'request');
  }

  say(message: object, ...tensors: Uint8Array[]): void {
    this.connection.receive([pack(message), ...tensors]);
  }

  succeed(id: number, result: object = {}, ...tensors: Uint8Array[]): void {
    this.say({ kind: 'reply', id, result, run_ms: 2, idle_ms: 1 }, ...tensors);
  }

  refuse(id: number, code: ErrorCode, more: object = {}): void {
    const error = { code, message: `scripted ${code}`, applied: false, ...more };
    this.say({ kind: 'reply', id, error, run_ms: 0, idle_ms: 0 });
  }
}
