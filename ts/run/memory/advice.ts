import type { MEMORY_ITEMS } from '../../config/registries.gen.js';
import type { WorkerConfig } from '../../config/schema.js';
import type { StagePlan } from '../../plan/types.js';

/** What memory is for, by the worker's names. */
type MemoryItem = (typeof MEMORY_ITEMS)[number];

/** What a remedy depends on. */
export interface Circumstances {
  readonly stage: Pick<
    StagePlan,
    'student' | 'teacher' | 'training' | 'sampling' | 'evaluation' | 'checkpoints' | 'parts'
  >;
  readonly worker: Pick<WorkerConfig, 'position_chunk' | 'rollout_rows' | 'offload_teacher'>;
  /** As the worker names it: cpu, or cuda:0 NAME. */
  readonly device: string;
}

/** What a phase holds, and by how many bytes that is too much. */
export interface Excess {
  readonly items: Readonly<Record<string, number>>;
  readonly bytes: number;
}

type Remedies = (circumstances: Circumstances, excess: Excess) => readonly (string | false)[];

/** Activations go with the rows and tokens of a micro-batch: as many as leave no excess, but one. */
const smallerMicroBatch = ({ stage: { training } }: Circumstances, { items, bytes }: Excess) => {
  const { micro_tokens, micro_batch, batch_size } = training;
  const activations = items.activations ?? 0;
  const share = Math.max(0, activations - bytes) / Math.max(1, activations);
  const fewer = (now: number) => `${Math.max(1, Math.floor(now * share))} or less (now ${now})`;
  if (micro_tokens !== null) return `training.micro_tokens: ${fewer(micro_tokens)}`;
  const rows = Math.min(micro_batch || batch_size, batch_size);
  return rows > 1 && `training.micro_batch: ${fewer(rows)}`;
};

const adaptersOnly = ({ stage }: Circumstances): string | false =>
  stage.training.lora === null && 'training.lora: {}, which trains adapters in place of the weights';

const trained: Remedies = (circumstances) => [
  circumstances.stage.training.optimizer.optimistic && 'training.optimizer.optimistic: false',
  adaptersOnly(circumstances),
  'a smaller student',
];

/** Small, or nothing that a setting changes by itself. */
const none: Remedies = () => [];

const smallerCritics: Remedies = () => ["a smaller rank or hidden_size of the method's critics"];

/** What makes an item smaller, the cheapest first; what is in force already is left out. */
const REMEDIES: Readonly<Record<MemoryItem, Remedies>> = {
  activations: (circumstances, excess) => {
    const { student, training } = circumstances.stage;
    return [
      smallerMicroBatch(circumstances, excess),
      !training.gradient_checkpointing && 'training.gradient_checkpointing: true',
      student.dtype === 'float32' &&
        student.compute_dtype === null &&
        'compute_dtype: bfloat16 of the student',
      'a smaller max_tokens of the data',
    ];
  },
  logits: ({ worker }) => [
    `a smaller worker.position_chunk (now ${worker.position_chunk || "the worker's own"})`,
  ],
  teacher: ({ stage, worker, device }) => [
    stage.teacher?.dtype === 'float32' && 'dtype: bfloat16 of the teacher',
    device !== 'cpu' && !worker.offload_teacher && 'worker.offload_teacher: true',
  ],
  student: trained,
  gradients: trained,
  optimizer: trained,
  update: trained,
  critics: smallerCritics,
  critic_gradients: smallerCritics,
  hidden_states: ({ stage }) => [`training.batch_size below ${stage.training.batch_size}`],
  kv_cache: ({ stage, worker }) => [
    worker.rollout_rows !== 1 &&
      `a smaller worker.rollout_rows (now ${worker.rollout_rows || "the engine's own"})`,
    `a smaller max_new_tokens (now ${stage.sampling.max_new_tokens} in rollout.sampling, ` +
      `${stage.evaluation.sampling.max_new_tokens} in evaluation.sampling)`,
  ],
  second_student: ({ stage }) =>
    stage.parts.filter(({ ahead }) => ahead).map(({ part }) => `sources.${part}.max_staleness: 0`),
  arranged_weights: none,
  overhead: none,
  rollouts: () => ['a smaller replay.capacity of the sources'],
  checkpoint: trained,
};

const MOST = 4;

/** What to change so that a phase takes less: first what makes its largest item smaller, then the next. */
export function remediesFor(excess: Excess, circumstances: Circumstances): readonly string[] {
  const bySize = Object.entries(excess.items).sort(([, one], [, other]) => other - one);
  const remedies: Readonly<Record<string, Remedies>> = REMEDIES;
  const found = bySize.flatMap(([item]) => remedies[item]?.(circumstances, excess) ?? []);
  const distinct = new Set(found.filter((remedy) => remedy !== false));
  return [...distinct].slice(0, MOST);
}
