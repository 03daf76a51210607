import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CallOptions, Reply, Traffic, WorkerClient } from '../../../ts/dispatch/client.js';
import type { OperationRequest } from '../../../ts/dispatch/step_requests.js';
import { WireError, type WorkerFailure } from '../../../ts/wire/errors.js';
import {
  OPERATIONS,
  type OperationArgs,
  type OperationName,
  type OperationResult,
} from '../../../ts/wire/protocol.gen.js';

type Answers = { [Name in OperationName]: (args: OperationArgs<Name>) => OperationResult<Name> };

/** Figures that the double gives to every reply; tests of times and bytes count on them. */
export const EACH = { runMs: 4, idleMs: 1, roundTripMs: 6, bytesSent: 100, bytesReceived: 50 } as const;

/** What a checkpoint of the double holds. */
interface Saved {
  readonly version: number;
  readonly rollouts: readonly (readonly [handle: string, rows: number])[];
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const sizes = (items: readonly unknown[]) => items.length;

/**
 * A worker in memory, as the run loop sees it: requests run one after another, each in a later turn of the event
 * loop; arguments and results must fit the contract; after an error the epoch is closed. The student's weights are
 * one number, its version: checkpoints keep it, evaluations show it. Rollouts are their sizes: those of a step go with
 * it, those of the buffer are in checkpoints, and a batch takes only rows that there are.
 */
export class ScriptedClient implements WorkerClient {
  /** Says that the worker is gone. */
  fail: (failure: WorkerFailure) => void = () => {};
  readonly failed = new Promise<WorkerFailure>((resolve) => {
    this.fail = resolve;
  });
  /** Every request, in the order sent. */
  readonly requests: OperationRequest[] = [];
  /** Optimizer steps sent and not ended: the most there ever were at once. */
  mostStepsAhead = 0;
  epoch = 0;
  version = 0;
  /** Rows of each dataset. */
  rows: Readonly<Record<string, number>>;
  /** Score of row `row` of a set, given the student's version. */
  score: (version: number, dataset: string, row: number) => number = (version) => version;
  /** More metrics of the 0-based step. */
  metrics: (step: number) => Readonly<Record<string, number>> = () => ({});
  /** Rows of each rollout that is held. */
  readonly rollouts = new Map<string, number>();
  /** Statistics of row `row` of any set for BLEU; by default no response has a token in common with a reference. */
  bleu: (row: number) => readonly number[] = () => [4, 4, 0, 0, 0, 0, 4, 3, 2, 1];
  /** What `measure` says; by default the scores. */
  answerMeasure: Answers['measure'] = ({ rows, dataset, metrics }) => ({
    values: this.#scores(dataset, rows, metrics),
    tokens: rows.map(() => 2),
  });
  /** What `predict_memory` says; by default there is plenty. */
  memory: OperationResult<'predict_memory'> = {
    phases: [{ name: 'student', items: { student: 300, activations: 700 } }],
    peak_bytes: 1000,
    available_bytes: 4000,
  };
  /** What else `register_data` says of each dataset: what was lost, notes. */
  lost: Partial<OperationResult<'register_data'>> = {};
  /** Batches of several micro-batches. */
  readonly #cut = new Set<string>();
  readonly #hooks = new Map<string, () => void | Promise<void>>();
  readonly #seen = new Map<OperationName, number>();
  readonly #staged = new Map<string, { readonly dir: string; readonly text: string }>();
  readonly #failures = new Map<number, WireError>();
  #tail: Promise<unknown> = Promise.resolve();
  #stepsAhead = 0;

  constructor(rows: Readonly<Record<string, number>> = {}) {
    this.rows = rows;
  }

  /** Runs `action` before the nth (1-based) request of that operation; what it throws is the reply. */
  before(op: OperationName, nth: number, action: () => void | Promise<void>): this {
    this.#hooks.set(`${op} ${nth}`, action);
    return this;
  }

  get ops(): readonly OperationName[] {
    return this.requests.map(({ op }) => op);
  }

  argsOf<Name extends OperationName>(op: Name): readonly OperationArgs<Name>[] {
    return this.requests.flatMap((request) =>
      request.op === op ? [request.args as OperationArgs<Name>] : [],
    );
  }

  call<Name extends OperationName>(
    op: Name,
    args: OperationArgs<Name>,
    options: CallOptions = {},
  ): Promise<Reply<Name>> {
    OPERATIONS[op].args.parse(args);
    this.requests.push({ op, args } as OperationRequest);
    if (op === 'build') this.#stepsAhead += 1;
    this.mostStepsAhead = Math.max(this.mostStepsAhead, this.#stepsAhead);
    const { epoch } = this;
    const id = this.requests.length;
    const reply = this.#tail.then(() => this.#run(op, args, options, epoch, id));
    this.#tail = reply.catch((error: WireError) => {
      if (!this.#failures.has(epoch)) this.#failures.set(epoch, error);
    });
    return reply;
  }

  openEpoch(): number {
    this.epoch += 1;
    return this.epoch;
  }

  async idle(): Promise<void> {
    await this.#tail;
  }

  traffic(): Traffic {
    throw new Error('nothing here asks for traffic');
  }

  async #run<Name extends OperationName>(
    op: Name,
    args: OperationArgs<Name>,
    { signal }: CallOptions,
    epoch: number,
    id: number,
  ): Promise<Reply<Name>> {
    await nextTurn();
    const cause = this.#failures.get(epoch);
    if (cause !== undefined) throw new WireError('aborted', `${op} was not run`, { op, cause });
    const nth = (this.#seen.get(op) ?? 0) + 1;
    this.#seen.set(op, nth);
    await this.#hooks.get(`${op} ${nth}`)?.();
    if (signal?.aborted) throw new WireError('cancelled', `${op} was cancelled.`, { op });
    // A reply's type follows from the operation's name, which the compiler cannot see through the table.
    const answer = this.#answers[op] as unknown as (args: OperationArgs<Name>) => OperationResult<Name>;
    const result = answer(args);
    OPERATIONS[op].result.parse(result);
    if (op === 'end_step') this.#stepsAhead -= 1;
    return { op, id, result, frames: [], ...EACH };
  }

  #scores(dataset: string, rows: readonly number[], metrics: readonly string[]) {
    const own = rows.map((row) => this.score(this.version, dataset, row));
    return Object.fromEntries(metrics.filter((name) => name !== 'bleu').map((name) => [name, own]));
  }

  #sizeOf(handle: string): number {
    const size = this.rollouts.get(handle);
    if (size === undefined) throw new WireError('unknown_handle', `there is no ${handle}`);
    return size;
  }

  readonly #answers: Answers = {
    configure: () => ({ device: 'cpu', threads: 1 }),
    reset: () => {
      this.rollouts.clear();
      return {};
    },
    compare_models: () => ({}),
    load_role: ({ role }) => {
      if (role === 'student') this.version = 0;
      return {
        parameters: role === 'teacher' ? 2000 : 1000,
        trained_parameters: role === 'teacher' ? 0 : 1000,
        vocabulary: 50,
        hidden_size: 16,
        layers: 1,
        architecture: 'Scripted',
        tokenizer_hash: 'a1',
        eos_ids: [0],
        engine: 'scripted',
        notes: ['a fallback'],
      };
    },
    load_critic: () => ({ parameters: 300 }),
    register_data: ({ dataset }) => ({
      rows: this.rows[dataset] ?? 10,
      content_hash: 'b2',
      prompt_tokens: 20,
      response_tokens: 30,
      bad_lines: 0,
      cut_prompts: 0,
      dropped_prompts: 0,
      unanswered: 0,
      cut_responses: 0,
      ...this.lost,
      groups: {},
    }),
    generate: ({ rows, out }) => {
      if (this.rollouts.has(out)) throw new WireError('handle_exists', `${out} is there already`);
      this.rollouts.set(out, sizes(rows));
      return {
        rows: sizes(rows),
        tokens: 3 * sizes(rows),
        ended: sizes(rows) - 1,
        cached: 0,
        policy_version: this.version,
      };
    },
    build: ({ out, parts, micro_batch = 8 }) => {
      for (const { rollout, picks = [] } of parts) {
        if (rollout !== undefined && Math.max(-1, ...picks) >= this.#sizeOf(rollout))
          throw new WireError('invalid_argument', `${rollout} has no such row`);
      }
      if (micro_batch < 8) this.#cut.add(out);
      return {
        rows: 8,
        tokens: 80,
        padded_tokens: 96,
        micro_batches: Math.ceil(8 / micro_batch),
        response_tokens: Object.fromEntries(parts.map(({ part }) => [part, 20])),
      };
    },
    // The graph of several micro-batches is not kept.
    score: ({ batch, student }) => ({
      teacher_ms: 1,
      student_ms: 2,
      student_graph: student === 'graph' && !this.#cut.has(batch),
    }),
    step_critic: () => ({}),
    step_student: () => {
      this.version += 1;
      return { policy_version: this.version };
    },
    end_step: ({ step }) => {
      for (const handle of this.rollouts.keys()) if (handle.startsWith('step:')) this.rollouts.delete(handle);
      const metrics = { loss: 1 / (step + 1), version: this.version, ...this.metrics(step) };
      return { metrics, handles: [] };
    },
    evaluate: ({ rows, dataset, metrics, texts }) => ({
      scores: this.#scores(dataset, rows, metrics),
      statistics: metrics.includes('bleu') ? { bleu: rows.map((row) => [...this.bleu(row)]) } : {},
      lengths: rows.map(() => 4),
      ended: sizes(rows),
      tokens: 4 * sizes(rows),
      texts: rows
        .slice(0, texts)
        .map((row) => ({ row, prompt: 'p', text: `v${this.version}`, references: [] })),
    }),
    measure: (args) => this.answerMeasure(args),
    fetch: () => {
      throw new Error('the run loop never asks for tokens');
    },
    drop: ({ handles }) => {
      for (const handle of handles) {
        this.#sizeOf(handle);
        this.rollouts.delete(handle);
      }
      return {};
    },
    stage_checkpoint: ({ checkpoint, dir }) => {
      const text = JSON.stringify({ version: this.version, rollouts: [...this.rollouts] });
      this.#staged.set(checkpoint, { dir, text });
      return { bytes: text.length };
    },
    commit_checkpoint: ({ checkpoint }) => {
      const staged = this.#staged.get(checkpoint);
      if (staged === undefined) throw new WireError('checkpoint_error', `${checkpoint} is not staged`);
      this.#staged.delete(checkpoint);
      writeFileSync(path.join(staged.dir, 'weights.json'), staged.text);
      return { files: [{ name: 'weights.json', bytes: staged.text.length, sha256: sha256(staged.text) }] };
    },
    restore: ({ dir, files }) => {
      const text = readFileSync(path.join(dir, 'weights.json'), 'utf8');
      if (sha256(text) !== files[0]?.sha256)
        throw new WireError('checkpoint_error', `${dir}/weights.json has another hash`);
      const saved = JSON.parse(text) as Saved;
      this.version = saved.version;
      this.rollouts.clear();
      for (const [handle, size] of saved.rollouts) this.rollouts.set(handle, size);
      return { policy_version: this.version };
    },
    import_data: () => ({ files: [], rows: {}, dropped: {}, notes: [] }),
    export: ({ dir }) => {
      const text = JSON.stringify({ version: this.version });
      mkdirSync(dir, { recursive: true });
      writeFileSync(path.join(dir, 'config.json'), text);
      return { files: [{ name: 'config.json', bytes: text.length, sha256: sha256(text) }] };
    },
    preflight: ({ rows }) => ({
      checks: [{ name: 'labels', ok: true, value: sizes(rows), limit: 4, detail: 'labels are tokens' }],
    }),
    predict_memory: () => this.memory,
    report_memory: () => {
      throw new Error('the run loop never asks for memory');
    },
  };
}

/** What a request fails with; for `before`. */
export function failWith(code: ConstructorParameters<typeof WireError>[0], message: string = code) {
  return () => {
    throw new WireError(code, message);
  };
}
