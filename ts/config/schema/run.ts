import { z } from 'zod';
import { type DeepReadonly, name, seed } from './common.js';
import { dataset } from './data.js';
import { model } from './models.js';
import { stage } from './stage.js';

const bytes = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

const worker = z
  .strictObject({
    device: z
      .string()
      .regex(/^(auto|cpu|cuda|cuda:\d{1,3})$/, 'expected auto, cpu, cuda or cuda:N')
      .default('auto')
      .describe('Device of the models: auto, cpu, cuda or cuda:N; C'),
    threads: z
      .int()
      .min(0)
      .max(1024)
      .default(0)
      .describe(
        "Threads of tensor operations; 0 leaves the library's choice, or the container's share of the cores where that is less; C",
      ),
    cache_dir: z
      .string()
      .min(1)
      .nullable()
      .default(null)
      .describe(
        "Folder of tokenized data and of the teacher's responses; null is .ammd/cache below the working directory; C",
      ),
    position_chunk: z
      .int()
      .min(0)
      .max(1_048_576)
      .default(0)
      .describe("Positions whose logits exist at a time; 0 takes the worker's table; C"),
    loss_form: z
      .enum(['auto', 'plain', 'fused', 'compiled', 'triton'])
      .default('auto')
      .describe(
        "How the student's losses are computed: by autograd (plain), by formula (fused), or that compiled or by a Triton kernel on CUDA (both experimental); auto takes the worker's table; C",
      ),
    rollout_rows: z
      .int()
      .min(0)
      .max(65_536)
      .default(0)
      .describe(
        'Rows that responses are drawn for at a time, at most, in training and evaluation; 0 leaves it to the engine: 256 or as many as fit into 8 GiB of keys and values (1 GiB on a CPU), 64 with forward; not for vllm; C',
      ),
    offload_teacher: z
      .boolean()
      .default(false)
      .describe(
        "Keep the teacher's weights in host memory, and on the GPU only while it runs; its head stays there; C",
      ),
    transport: z
      .enum(['ipc', 'tcp'])
      .default('ipc')
      .describe('A socket file in a private folder, or TCP with keys (CURVE); C'),
    step_budget_bytes: bytes
      .default(0)
      .describe('Bytes that one step may hold in the worker; 0 is no limit; C'),
    buffer_budget_bytes: bytes
      .default(0)
      .describe('Bytes that kept rollouts may hold in the worker; 0 is no limit; C'),
  })
  .prefault({})
  .describe('The worker process');

const wandb = z
  .strictObject({
    project: z.string().min(1).max(128).describe('Project'),
    entity: z.string().min(1).max(128).nullable().default(null).describe('User or team; null is your own; C'),
    mode: z
      .enum(['online', 'offline'])
      .default('online')
      .describe('Upload while the run goes, or keep files for `npx ammd python -m wandb sync`; C'),
    tags: z.array(z.string().min(1).max(64)).max(64).default([]).describe('Tags; C'),
  })
  .nullable()
  .default(null)
  .describe('Weights & Biases: the rows of the run folder, shown there as well; null for not');

const tracking = z.strictObject({ wandb }).prefault({}).describe('Where figures go besides the run folder');

/** Longest wall time. A timer counts whole seconds, and longer than a year is as good as none. */
export const maxHours = z.number().gt(0).max(8784);

export const run = z.strictObject({
  name: name.describe('Name of the run; begins the name of its folder'),
  seed: seed.default(0).describe('Root of all random streams; C'),
  max_hours: maxHours
    .nullable()
    .default(null)
    .describe(
      'Longest wall time of one call of train or resume, which then stops with a checkpoint; hours, null is no limit; `--max-hours` goes before it; C',
    ),
  tracking,
  worker,
  data: z.record(name, dataset).describe('Datasets, by name'),
  models: z.record(name, model).default({}).describe('Models, by name'),
  stages: z.record(name, stage).describe('Stages, by name, in order; each trains one model by one method'),
});

export type WandbConfig = NonNullable<DeepReadonly<z.output<typeof wandb>>>;
export type WorkerConfig = DeepReadonly<z.output<typeof worker>>;
/** A resolved run configuration: every key present, methods inlined, nothing left to look up in a file. */
export type RunConfig = DeepReadonly<z.output<typeof run>>;
