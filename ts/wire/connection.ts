import type { ChannelTraffic } from './channel.js';
import { decodeMessage, encodeMessage, type Frames } from './codec.js';
import {
  type RunningRequest,
  WorkerFailure,
  type WorkerFailureCode,
  type WorkerFailureOptions,
} from './errors.js';
import {
  DEFAULT_LIVENESS,
  hearMessage,
  hearPong,
  judge,
  type Liveness,
  type LivenessLimits,
  look,
  newLiveness,
} from './liveness.js';
import type { HelloMessage, ReplyMessage, WorkerMessage } from './protocol.gen.js';

/** The way to one peer, whatever carries it. */
export interface Link {
  send(frames: Frames): void;
  traffic(): ChannelTraffic;
  close(): Promise<void>;
}

/** Whoever makes the requests. */
export interface Requester {
  onReply(reply: ReplyMessage, tensors: readonly Uint8Array[], bytes: number): void;
  onFailure(failure: WorkerFailure): void;
  /** Deadline of a request in ms of execution, when it has one. */
  deadlineOf(id: number): number | undefined;
  /** The oldest request without a reply: since requests run in order, the one that runs. */
  running(): RunningRequest | undefined;
}

export interface ConnectionOptions {
  readonly liveness?: LivenessLimits;
  /** Last lines of the worker's log, for the messages of failures. */
  readonly logTail?: () => string;
}

type FailureDetails = Omit<WorkerFailureOptions, 'running' | 'logTail'> & { readonly detail?: string };

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

function whileRunning(running: RunningRequest | undefined): string {
  if (running === undefined) return '';
  // People count steps from 1, as the rows and the progress view do.
  const step = running.step === undefined ? '' : `step ${running.step + 1}, `;
  return ` while it ran ${running.op} (${step}request ${running.id})`;
}

export function withLogTail(sentence: string, logTail: string): string {
  return logTail === '' ? sentence : `${sentence}\nLast lines of its log:\n${logTail}`;
}

/** One worker that has been welcomed: passes replies on, watches its health, and ends once, with a reason. */
export class Connection {
  readonly hello: HelloMessage;
  /** Resolves with the reason when the worker is gone. */
  readonly failed: Promise<WorkerFailure>;
  readonly #link: Link;
  readonly #limits: LivenessLimits;
  readonly #logTail: () => string;
  readonly #timer: NodeJS.Timeout;
  #resolveFailed: (failure: WorkerFailure) => void = () => {};
  #requester: Requester | undefined;
  #failure: WorkerFailure | undefined;
  #liveness: Liveness = newLiveness(performance.now());
  #nonce = 0;
  #leaving = false;

  constructor(link: Link, hello: HelloMessage, options: ConnectionOptions = {}) {
    this.hello = hello;
    this.#link = link;
    this.#limits = options.liveness ?? DEFAULT_LIVENESS;
    this.#logTail = options.logTail ?? (() => '');
    this.failed = new Promise((resolve) => {
      this.#resolveFailed = resolve;
    });
    this.#timer = setInterval(() => this.#beat(), this.#limits.heartbeatMs);
  }

  get failure(): WorkerFailure | undefined {
    return this.#failure;
  }

  get liveness(): Liveness {
    return this.#liveness;
  }

  traffic(): ChannelTraffic {
    return this.#link.traffic();
  }

  /** Names the one who makes requests and gets their replies. */
  serve(requester: Requester): void {
    this.#requester = requester;
  }

  send(frames: Frames): void {
    if (this.#failure === undefined) this.#link.send(frames);
  }

  /** Asks for a sign of life now. */
  ping(): void {
    this.#nonce += 1;
    this.send(encodeMessage({ kind: 'ping', nonce: this.#nonce }));
  }

  /** Asks the worker to finish what it runs and to exit. */
  leave(): void {
    this.#leaving = true;
    this.send(encodeMessage({ kind: 'bye' }));
  }

  /** Takes one message from the link. A worker that breaks the contract is not listened to any longer. */
  receive(frames: Frames): void {
    if (this.#failure !== undefined) return;
    try {
      const { message, tensors, bytes } = decodeMessage(frames);
      this.#liveness = hearMessage(this.#liveness, performance.now());
      this.#take(message, tensors, bytes);
    } catch (cause) {
      const what = cause instanceof Error ? cause.message : String(cause);
      this.fail('worker_misbehaved', 'The worker broke the wire contract', { cause, detail: what });
    }
  }

  /**
   * Ends the connection; the first reason stays.
   *
   * @param what the sentence's beginning, without a full stop: what ran is added.
   */
  fail(code: WorkerFailureCode, what: string, { detail, ...options }: FailureDetails = {}): WorkerFailure {
    if (this.#failure !== undefined) return this.#failure;
    if (this.#leaving && code !== 'worker_closed')
      return this.fail('worker_closed', 'The worker was asked to leave');
    const running = this.#requester?.running();
    const logTail = code === 'worker_closed' ? '' : this.#logTail();
    const sentence = `${what}${whileRunning(running)}${detail === undefined ? '.' : `: ${detail}`}`;
    const failure = new WorkerFailure(code, withLogTail(sentence, logTail), {
      ...options,
      ...(running === undefined ? {} : { running }),
      ...(logTail === '' ? {} : { logTail }),
    });
    this.#failure = failure;
    clearInterval(this.#timer);
    this.#requester?.onFailure(failure);
    this.#resolveFailed(failure);
    return failure;
  }

  /** Fails what is pending and closes the link. */
  async close(): Promise<void> {
    this.fail('worker_closed', 'The connection to the worker was closed');
    await this.#link.close();
  }

  #take(message: WorkerMessage, tensors: readonly Uint8Array[], bytes: number): void {
    switch (message.kind) {
      case 'reply':
        this.#requester?.onReply(message, tensors, bytes);
        return;
      case 'pong':
        this.#liveness = hearPong(this.#liveness, message, performance.now());
        return;
      case 'hello':
        throw new Error('it said hello twice');
    }
  }

  #beat(): void {
    const now = performance.now();
    this.#liveness = look(this.#liveness, now, this.#limits);
    const verdict = judge(this.#liveness, now, this.#limits, (id) => this.#requester?.deadlineOf(id));
    switch (verdict.kind) {
      case 'alive':
        this.ping();
        return;
      case 'silent':
        this.fail('worker_silent', `The worker has not answered for ${seconds(verdict.forMs)}`);
        return;
      case 'stalled': {
        const elapsed = seconds(verdict.running.elapsed_ms);
        const detail = `${elapsed} so far, the last ${seconds(verdict.forMs)} without progress.`;
        this.fail('worker_stalled', 'The worker is stuck', { detail });
        return;
      }
    }
  }
}
