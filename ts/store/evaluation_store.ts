import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../common/atomic_file.js';
import { canonicalJson, sha256 } from '../common/hash.js';
import { makeFolder } from '../common/make_folder.js';
import { present } from '../common/present.js';
import type { DatasetConfig, EvaluationConfig } from '../config/schema.js';
import type { WorkerClient } from '../dispatch/client.js';
import { exportedStudent, wireDataset } from '../dispatch/load_requests.js';
import { type EvaluationRow, evaluationRowSchema, type SampleRow, sampleRowSchema } from '../metrics/rows.js';
import { planRun } from '../plan/run.js';
import { type Decoding, decodingsOf, evaluateDataset } from '../run/stage/dataset_evaluation.js';
import type { WorkerPool } from '../run/workers/pool.js';
import type { Session } from '../run/workers/session.js';
import type { StageStore } from './stage_store.js';
import type { StoredStage } from './stored_stage.js';

/** What a trained student is evaluated on, and how. */
export interface EvaluationRequest
  extends Pick<EvaluationConfig, 'greedy' | 'seeds' | 'sampling' | 'samples'> {
  readonly datasets: Readonly<Record<string, DatasetConfig>>;
  readonly metrics: readonly string[];
  /** Rows of each dataset, from the first; null is all. */
  readonly rows: number | null;
}

export interface Evaluated {
  readonly rows: readonly EvaluationRow[];
  readonly samples: readonly SampleRow[];
}

const fileSchema = z.strictObject({
  format: z.literal(1),
  rows: z.array(evaluationRowSchema),
  samples: z.array(sampleRowSchema),
});

/** One dataset under one decoding: what is kept, and found again by its hash. */
interface Piece {
  readonly dataset: string;
  readonly decoding: Decoding;
  readonly samples: number;
  readonly file: string;
}

export interface EvaluateOptions {
  readonly pool: WorkerPool;
  readonly signal?: AbortSignal | undefined;
}

/** Evaluations of stored students: a file for each dataset under each decoding, named by all that decides it. */
export class EvaluationStore {
  readonly #folder: string;
  readonly #stages: StageStore;
  readonly #fingerprint: (source: string) => string;

  constructor(folder: string, stages: StageStore, fingerprint: (source: string) => string) {
    this.#folder = path.resolve(folder);
    this.#stages = stages;
    this.#fingerprint = fingerprint;
  }

  isDone(student: StoredStage, request: EvaluationRequest): boolean {
    return this.#pieces(student, request).every(({ file }) => existsSync(file));
  }

  /** Evaluates what has not been evaluated; the student must be in the store of stages. */
  async run(student: StoredStage, request: EvaluationRequest, options: EvaluateOptions): Promise<Evaluated> {
    const pieces = this.#pieces(student, request);
    const missing = pieces.filter(({ file }) => !existsSync(file));
    const { pool, signal } = options;
    if (missing.length > 0)
      await pool.use((session) => this.#evaluate(session, student, request, missing, signal), signal);
    const files = pieces.map(({ file }) => fileSchema.parse(JSON.parse(readFileSync(file, 'utf8'))));
    return {
      rows: files.flatMap(({ rows }) => rows),
      samples: files.flatMap(({ samples }) => samples),
    };
  }

  #pieces(student: StoredStage, request: EvaluationRequest): readonly Piece[] {
    const decodings = decodingsOf(request);
    return Object.entries(request.datasets).flatMap(([dataset, config]) =>
      decodings.map((decoding, index) => {
        const { metrics, sampling, rows } = request;
        const samples = index === 0 ? request.samples : 0;
        const content = { ...config, source: this.#fingerprint(config.source) };
        const decided = [1, student.hash, content, decoding, metrics, sampling, rows, samples, dataset];
        const name = sha256(canonicalJson(decided)).slice(0, 16);
        return { dataset, decoding, samples, file: path.join(this.#folder, `${name}.json`) };
      }),
    );
  }

  async #evaluate(
    { client, held }: Session,
    student: StoredStage,
    request: EvaluationRequest,
    pieces: readonly Piece[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    client.openEpoch();
    held.forget(); // Without a teacher, which might cut the student's vocabulary: as `ammd eval` does it.
    const sizes = await this.#load(client, student, request);
    makeFolder(this.#folder);
    for (const { dataset, decoding, samples, file } of pieces) {
      const available = sizes[dataset] ?? 0;
      const evaluated = await evaluateDataset(
        client,
        {
          about: { stage: student.name, step: 0, final: true },
          dataset,
          rows: Math.min(available, request.rows ?? available),
          decoding,
          metrics: request.metrics,
          sampling: request.sampling,
          texts: samples,
          keepScores: true,
        },
        { signal },
      );
      writeJsonAtomic(file, { format: 1, ...evaluated });
    }
  }

  /** Loads the student, frozen, and the datasets; rows by dataset. */
  async #load(client: WorkerClient, student: StoredStage, { datasets }: EvaluationRequest) {
    const config = student.configure((parent) => this.#stages.student(parent));
    const [only] = planRun({ config, hash: student.hash }).stages;
    const stage = present(only, 'stage in a stored one');
    const [, , ...registered] = await Promise.all([
      client.call('reset', {}),
      client.call('load_role', exportedStudent(stage, this.#stages.student(student))),
      ...Object.entries(datasets).map(async ([dataset, source]) => {
        const { result } = await client.call('register_data', { dataset, source: wireDataset(source) });
        return [dataset, result.rows] as const;
      }),
    ]);
    return Object.fromEntries(registered);
  }
}
