// Generated from protocol/protocol.json by 'npm run generate'. Do not edit.
import { z } from 'zod';

export const PROTOCOL_VERSION = 1;
export const PROTOCOL_HASH = '3abd8606efa7d7a9c88b78826abac868dffdbe44ce75d7156e4a2886b2cc1c0f';

export const LIMITS = {
  /** Largest MessagePack body of one message, in bytes. */
  maxBodyBytes: 8388608,
  /** Largest raw tensor frame, in bytes. */
  maxFrameBytes: 67108864,
  /** Largest number of tensor frames of one message. */
  maxFrames: 16,
  /** Deepest nesting of maps and lists in a body. */
  maxDepth: 16,
  /** Requests a worker holds, the running one included; one more is answered busy. */
  maxQueuedRequests: 64,
  /** Bytes of the bodies and frames of queued requests; more is answered busy. */
  maxQueuedBytes: 33554432,
  /** Optimizer steps a controller may have in flight. */
  maxStepsAhead: 2,
  /** Replies a worker keeps, by request id, to answer a repeated request without running it again. */
  rememberedReplies: 1024,
  /** Interval of ZMTP heartbeats and of application pings. */
  heartbeatMs: 1000,
  /** Silence of the socket thread after which a worker is taken for dead. */
  livenessMs: 10000,
  /** Time from the worker's start to its hello (importing torch and transformers takes seconds). */
  handshakeMs: 120000,
  /** Silence of the controller, which pings every heartbeat_ms, after which a worker exits that is not its child. */
  orphanMs: 60000,
  /** Longest wait of a request in the worker's queue, unless the request says otherwise. */
  queueMs: 3600000,
} as const;

export const errorCodeSchema = z.enum(["version_mismatch","unauthorized","malformed","unknown_operation","invalid_argument","oversize","busy","aborted","stale_epoch","duplicate","cancelled","deadline","queue_timeout","unknown_handle","handle_exists","over_budget","not_loaded","incompatible_vocabulary","unsupported","data_error","model_error","checkpoint_error","out_of_memory","internal"]);
export type ErrorCode = z.infer<typeof errorCodeSchema>;
export const FATAL_ERRORS: ReadonlySet<ErrorCode> = new Set(["version_mismatch","unauthorized"] as const);

/** A MessagePack number as it comes: NaN and infinities are allowed, unlike z.number(). */
export const wireNumberSchema = z.custom<number>((value) => typeof value === 'number', 'expected a number');

const mapSchema = <Value extends z.ZodType>(values: Value, max: number) =>
  z.record(z.string(), values).refine((map) => Object.keys(map).length <= max, `more than ${max} entries`);

/** A raw tensor frame of the same message: `frame` counts the frames after the body, from 0. */
export const tensorRefSchema = (dtype: string, rank: number) =>
  z.strictObject({
    dtype: z.literal(dtype),
    shape: z.array(z.int().min(0)).length(rank),
    frame: z.int().min(0),
  });
export type TensorRef = z.infer<ReturnType<typeof tensorRefSchema>>;

/** A name the controller gives to a result: `step:N/name`, `buffer/name` or `session/name`. */
export const handleSchema = z.string().regex(/^(step:[0-9]{1,15}|buffer|session)\/[A-Za-z0-9_.-]{1,96}$/);

/** Shape of a builtin model; builtin:t5 has so many layers on each side, and no use for max_positions. */
export const archSchema = z.strictObject({
  /** H. */
  hidden_size: z.int().min(8).max(65536),
  /** Transformer blocks. */
  layers: z.int().min(1).max(512),
  /** Attention heads. */
  heads: z.int().min(1).max(512),
  /** Key/value heads. */
  kv_heads: z.int().min(1).max(512),
  /** Width of the feed-forward part. */
  intermediate_size: z.int().min(8).max(262144),
  /** Longest sequence, in tokens. */
  max_positions: z.int().min(8).max(1048576),
  /** The head shares the embedding's weight. */
  tie_embeddings: z.boolean(),
});
export type Arch = z.infer<typeof archSchema>;

/** Where a model comes from and how its weights start. */
export const modelSchema = z.strictObject({
  /** builtin:llama, builtin:t5, a folder, a hub name, gguf:PATH, or package:MODULE/FILE.gguf. */
  source: z.string().max(4096),
  /** Weights as shipped, random by seed, or a subset of the source's layers. */
  init: z.enum(["pretrained","random","layers"]),
  /** Layers kept, for init: layers. */
  layers: z.array(z.int().min(0).max(511)).max(512).exactOptional(),
  /** Shape, for builtin models. */
  arch: archSchema.exactOptional(),
  /** Seed of random weights. */
  seed: z.int().min(0).max(9007199254740991),
  /** Dtype of the weights; float32 for a role that is trained. */
  dtype: z.enum(["float32","bfloat16","float16"]),
  /** Dtype of matrix products (autocast), where it differs from the weights'. */
  compute_dtype: z.enum(["float32","bfloat16","float16"]).exactOptional(),
  /** Run code shipped with the model. */
  trust_remote_code: z.boolean(),
  /** Attention implementation; absent: the library's choice. */
  attention: z.enum(["eager","sdpa","flash_attention_2"]).exactOptional(),
});
export type Model = z.infer<typeof modelSchema>;

/** AdamW. The learning rate comes with each step. */
export const optimizerSchema = z.strictObject({
  /** Decay of the first moment. */
  beta1: z.number().min(0).max(1),
  /** Decay of the second moment. */
  beta2: z.number().min(0).max(1),
  /** Added to the denominator. */
  eps: z.number().min(0).max(1),
  /** Decoupled; not applied to norms and biases. */
  weight_decay: z.number().min(0).max(10),
  /** Optimistic Adam: each update is twice the present one minus the one before; absent is false. */
  optimistic: z.boolean().exactOptional(),
});
export type Optimizer = z.infer<typeof optimizerSchema>;

/** Low-rank adapters: all other weights stay as they are. */
export const loraSchema = z.strictObject({
  /** r. */
  rank: z.int().min(1).max(65536),
  /** Scale; updates are multiplied by alpha / r. */
  alpha: z.number().min(0).max(1000000),
  /** On the adapters' inputs, in the student's step alone. */
  dropout: z.number().min(0).max(0.99),
  /** Names of the layers that get one; none: all linear layers but the head. */
  targets: z.array(z.string().max(128)).max(64),
  /** Seed of the adapters' weights. */
  seed: z.int().min(0).max(9007199254740991),
});
export type Lora = z.infer<typeof loraSchema>;

/** A critic f(s, .) with one value per token. */
export const criticSpecSchema = z.strictObject({
  /** Name in the worker's registry of critic heads. */
  head: z.string().max(64),
  /** free: the head gives the values before the bound; ratio: logits of a guess q at the student, f = 2 tanh(1/2 log(teacher / q)), for the bound mixture. Absent is free. */
  form: z.enum(["free","ratio"]).exactOptional(),
  /** Whose last hidden state the critic sees. */
  features: z.enum(["teacher","student"]),
  /** Width of the critic's MLP. */
  hidden_size: z.int().min(1).max(65536),
  /** Trained numbers per token that a bilinear or policy head has beside the frozen embedding; absent is 0. */
  rank: z.int().min(0).max(65536).exactOptional(),
  /** tanh: f in [-B, B]; otherwise a penalty 1/2 E_mu f^2 in the critic's objective, with mu the mixture of both policies or the student. */
  bound: z.enum(["tanh","mixture","student"]),
  /** B. */
  bound_value: z.number().min(0).max(1000),
  /** Seed of the weights. */
  seed: z.int().min(0).max(9007199254740991),
  /** Keep the largest singular value of each weight matrix at 1; absent is false. */
  spectral_norm: z.boolean().exactOptional(),
  /** Weight of the gradient penalty; absent is 0, off. */
  gradient_penalty: z.number().min(0).max(1000000).exactOptional(),
  /** Gradient norm that the penalty pulls to; absent is 0.4. */
  gradient_penalty_target: z.number().min(0).max(1000000).exactOptional(),
  /** The student sees an average of the critic's weights, decaying by this a turn; absent: the critic itself. */
  target_decay: z.number().min(0).max(1).exactOptional(),
});
export type CriticSpec = z.infer<typeof criticSpecSchema>;

/** A dataset and how it becomes tokens. */
export const dataSourceSchema = z.strictObject({
  /** builtin:microtasks, a JSONL or parquet file, or a hub dataset name. */
  source: z.string().max(4096),
  /** Split of the source, for example train, validation or a test set's name. */
  split: z.string().max(128),
  /** Prompt template. */
  template: z.enum(["alpaca","chat","plain","text"]),
  /** Names of the source's columns: instruction, input, output, or messages. */
  fields: mapSchema(z.string().max(128), 16),
  /** Prompts are cut to this length. */
  max_prompt_tokens: z.int().min(1).max(1048576),
  /** Variables of the chat template besides the messages, a JSON object; absent is none. */
  template_options: z.string().max(4096).exactOptional(),
  /** drop: rows with longer prompts are left out instead; absent is cut. */
  long_prompts: z.enum(["cut","drop"]).exactOptional(),
  /** Prompt and response are cut to this length. */
  max_tokens: z.int().min(2).max(1048576),
  /** Rows used, from the first. */
  limit: z.int().min(1).max(9007199254740991).exactOptional(),
  /** Share of rows that a split by seed sends to the split named validation. */
  validation_fraction: z.number().min(0).max(0.9),
  /** Seed of the split, and of generated data. */
  seed: z.int().min(0).max(9007199254740991),
  /** Count bad lines instead of failing. */
  skip_bad_lines: z.boolean(),
});
export type DataSource = z.infer<typeof dataSourceSchema>;

/** How tokens are drawn. */
export const samplingSchema = z.strictObject({
  /** Divides the logits; 0 is greedy. */
  temperature: z.number().min(0).max(100),
  /** Nucleus; 1 is off. */
  top_p: z.number().min(0).max(1),
  /** 0 is off. */
  top_k: z.int().min(0).max(1048576),
  /** Response length at most, EOS included. */
  max_new_tokens: z.int().min(1).max(1048576),
  /** 0 is off. */
  no_repeat_ngram_size: z.int().min(0).max(64),
  /** Never ends before max_new_tokens; for measurements. */
  suppress_eos: z.boolean(),
});
export type Sampling = z.infer<typeof samplingSchema>;

/** Rows that enter a batch under a part's name: from a dataset, or from a rollout handle (exactly one of the two). */
export const batchPartSchema = z.strictObject({
  /** Part name that terms refer to, for example off or on. */
  part: z.string().max(32),
  /** Registered dataset. */
  dataset: z.string().max(128).exactOptional(),
  /** Row numbers of the dataset. */
  rows: z.array(z.int().min(0).max(9007199254740991)).max(65536).exactOptional(),
  /** Rows of this rollout. */
  rollout: handleSchema.exactOptional(),
  /** Which rows of the rollout, from 0; absent is all. */
  picks: z.array(z.int().min(0).max(65535)).max(65536).exactOptional(),
});
export type BatchPart = z.infer<typeof batchPartSchema>;

/** Policy gradient of a term: how the costs of later positions reach the tokens drawn before them. */
export const returnsSchema = z.strictObject({
  /** return: the loss at each state, and log pi(y_t) times the later positions' costs; reinforce: log pi(y_t) times the sampled costs from t on, and nothing else. */
  gradient: z.enum(["return","reinforce"]),
  /** Of later positions under return: the loss of the state, or its one-sample estimate at the token drawn. */
  costs: z.enum(["exact","sampled"]),
  /** length: divide a return by the number of positions in it. */
  norm: z.enum(["none","length"]),
  /** leave_one_out: subtract the mean return of the step's other sequences at the same position; whiten: mean 0 and deviation 1 over the step. */
  baseline: z.enum(["none","leave_one_out","whiten"]),
  /** Weights for responses that another distribution drew: the ratio of each token, or of the whole response. */
  importance: z.enum(["none","token","sequence"]),
  /** Largest importance weight; 0 is no limit. */
  ratio_limit: z.number().min(0).max(1000000),
  /** PPO's clip of the ratio to 1 - clip .. 1 + clip; 0 is off. Needs importance token. */
  clip: z.number().min(0).max(1),
});
export type Returns = z.infer<typeof returnsSchema>;

/** One term of the student's objective: a mean over its part's valid tokens of the whole optimizer step. */
export const termSchema = z.strictObject({
  /** Name in the metrics. */
  name: z.string().max(64),
  /** Name in the worker's registry of objectives. */
  objective: z.string().max(64),
  /** A part of the batch, or all. */
  part: z.string().max(32),
  /** Factor of the mean. */
  weight: z.number().min(-1000000).max(1000000),
  /** Critic whose values the objective takes. */
  critic: z.string().max(32).exactOptional(),
  /** Parameters of the objective: beta, alpha, temperature. */
  params: mapSchema(z.number().min(-1000000).max(1000000), 16),
  /** Discount per response position; absent is 1. The loss at position t (from 0) counts gamma^t. */
  gamma: z.number().min(0).max(1).exactOptional(),
  /** Leave the factor gamma^t out, and keep gamma in the returns alone; absent is false. */
  drop_discount: z.boolean().exactOptional(),
  /** Also go through the distribution of states; absent is the gradient at the given states alone. Needs a part whose rows the student drew, at temperature 1 and of its present weights unless importance weights correct that, which the controller sees to; and its hidden states from score. */
  returns: returnsSchema.exactOptional(),
});
export type Term = z.infer<typeof termSchema>;

/** One critic's ascent step on one part of the batch. */
export const criticUpdateSchema = z.strictObject({
  /** Critic name. */
  critic: z.string().max(32),
  /** Part of the batch. */
  part: z.string().max(32),
});
export type CriticUpdate = z.infer<typeof criticUpdateSchema>;

/** Live handles of one scope. */
export const handleUsageSchema = z.strictObject({
  /** Scope. */
  scope: z.enum(["step","buffer","session"]),
  /** Live handles. */
  count: z.int().min(0),
  /** Their bytes. */
  bytes: z.int().min(0),
});
export type HandleUsage = z.infer<typeof handleUsageSchema>;

/** A written file. */
export const fileHashSchema = z.strictObject({
  /** Path relative to the folder. */
  name: z.string().max(512),
  /** Size. */
  bytes: z.int().min(0),
  /** Hex digest. */
  sha256: z.string().max(64),
});
export type FileHash = z.infer<typeof fileHashSchema>;

/** A generated text. */
export const sampleTextSchema = z.strictObject({
  /** Row of the dataset. */
  row: z.int().min(0),
  /** Prompt as text. */
  prompt: z.string().max(1048576),
  /** Response as text. */
  text: z.string().max(1048576),
  /** Reference responses. */
  references: z.array(z.string().max(1048576)).max(256),
});
export type SampleText = z.infer<typeof sampleTextSchema>;

/** One preflight check. */
export const checkSchema = z.strictObject({
  /** What was checked. */
  name: z.string().max(128),
  /** Whether it held. */
  ok: z.boolean(),
  /** Measured figure. */
  value: z.number().exactOptional(),
  /** Largest figure allowed. */
  limit: z.number().exactOptional(),
  /** A sentence for people. */
  detail: z.string().max(4096),
});
export type Check = z.infer<typeof checkSchema>;

/** Rows that a batch will have, before they are known. */
export const plannedPartSchema = z.strictObject({
  /** Part name. */
  part: z.string().max(32),
  /** Registered dataset of the prompts. */
  dataset: z.string().max(128),
  /** How many. */
  rows: z.int().min(1).max(65536),
  /** Longest response that a policy draws; absent: the dataset's own responses. */
  max_new_tokens: z.int().min(1).max(1048576).exactOptional(),
});
export type PlannedPart = z.infer<typeof plannedPartSchema>;

/** Responses that will be drawn. */
export const plannedRolloutSchema = z.strictObject({
  /** Name of its phase. */
  name: z.string().max(128),
  /** Policy. */
  role: z.enum(["teacher","student"]),
  /** Prompts. */
  dataset: z.string().max(128),
  /** Of one request. */
  rows: z.int().min(1).max(65536),
  /** How. */
  sampling: samplingSchema,
  /** The teacher takes part; absent is false. */
  mixture: z.boolean().exactOptional(),
  /** Drawn while other operations run; absent is false. */
  background: z.boolean().exactOptional(),
});
export type PlannedRollout = z.infer<typeof plannedRolloutSchema>;

/** What is held at the peak of one phase of training. */
export const memoryPhaseSchema = z.strictObject({
  /** scoring, critics, student, update, checkpoint, or the name of a planned rollout. */
  name: z.string().max(128),
  /** Bytes by what they are for; their sum is the peak. */
  items: mapSchema(z.int().min(0), 64),
});
export type MemoryPhase = z.infer<typeof memoryPhaseSchema>;

/** Why a request failed. */
export const errorInfoSchema = z.strictObject({
  /** Stable code. */
  code: errorCodeSchema,
  /** One sentence that names the place and the remedy. */
  message: z.string().max(65536),
  /** Traceback or further lines. */
  detail: z.string().max(65536).exactOptional(),
  /** Id of the request that failed first in the epoch. */
  aborted_by: z.int().min(0).exactOptional(),
  /** Whether the operation's changes were made. */
  applied: z.boolean(),
});
export type ErrorInfo = z.infer<typeof errorInfoSchema>;

/** What the operation thread is doing. */
export const runningSchema = z.strictObject({
  /** Request id. */
  id: z.int().min(0),
  /** Operation. */
  op: z.string().max(64),
  /** Since it began. */
  elapsed_ms: z.number().min(0),
});
export type Running = z.infer<typeof runningSchema>;

/** The worker's first message. */
export const helloMessageSchema = z.strictObject({
  kind: z.literal('hello'),
  /** Version of this file. */
  protocol_version: z.int().min(0),
  /** SHA-256 of this file's canonical JSON. */
  protocol_hash: z.string().max(64),
  /** Versions: python, torch, transformers, ... */
  packages: mapSchema(z.string().max(128), 64),
  /** Devices the worker can use, for example cpu or cuda:0 NVIDIA H200. */
  devices: z.array(z.string().max(256)).max(64),
  /** Process id. */
  pid: z.int().min(0),
  /** The run's token, from the environment variable AMMD_TOKEN. */
  token: z.string().max(256),
});
export type HelloMessage = z.infer<typeof helloMessageSchema>;

/** Answers a hello that agrees. */
export const welcomeMessageSchema = z.strictObject({
  kind: z.literal('welcome'),
  /** The controller's version. */
  protocol_version: z.int().min(0),
});
export type WelcomeMessage = z.infer<typeof welcomeMessageSchema>;

/** Answers a hello that does not agree; the worker exits with status 3. */
export const refuseMessageSchema = z.strictObject({
  kind: z.literal('refuse'),
  /** Why, with both versions. */
  error: errorInfoSchema,
});
export type RefuseMessage = z.infer<typeof refuseMessageSchema>;

/** One operation. Requests run in the order sent. */
export const requestMessageSchema = z.strictObject({
  kind: z.literal('request'),
  /** Strictly increasing over the connection. */
  id: z.int().min(1).max(9007199254740991),
  /** After an error the worker refuses all later requests of the epoch; a request of a higher epoch opens that epoch. */
  epoch: z.int().min(0).max(9007199254740991),
  /** Operation name. */
  op: z.string().max(64),
  /** The operation's arguments. */
  args: z.record(z.string(), z.unknown()),
  /** Longest execution, from its start. */
  deadline_ms: z.number().min(0).max(604800000).exactOptional(),
  /** Longest wait in the queue. */
  queue_ms: z.number().min(0).max(604800000).exactOptional(),
});
export type RequestMessage = z.infer<typeof requestMessageSchema>;

/** The outcome of one request: result or error. */
export const replyMessageSchema = z.strictObject({
  kind: z.literal('reply'),
  /** The request's id; 0 when the request was too malformed to have one. */
  id: z.int().min(0),
  /** The operation's result. */
  result: z.record(z.string(), z.unknown()).exactOptional(),
  /** Why it failed. */
  error: errorInfoSchema.exactOptional(),
  /** Execution time. */
  run_ms: z.number().min(0),
  /** Time the operation thread had nothing to do before this request. */
  idle_ms: z.number().min(0),
});
export type ReplyMessage = z.infer<typeof replyMessageSchema>;

/** Handled by the socket thread, never queued. The request's own reply tells the outcome. */
export const cancelMessageSchema = z.strictObject({
  kind: z.literal('cancel'),
  /** Request to cancel. */
  id: z.int().min(1).max(9007199254740991),
});
export type CancelMessage = z.infer<typeof cancelMessageSchema>;

/** Handled by the socket thread. */
export const pingMessageSchema = z.strictObject({
  kind: z.literal('ping'),
  /** Comes back in the pong. */
  nonce: z.int().min(0).max(9007199254740991),
});
export type PingMessage = z.infer<typeof pingMessageSchema>;

/** Sent by the socket thread, also while an operation runs. */
export const pongMessageSchema = z.strictObject({
  kind: z.literal('pong'),
  /** Of the ping. */
  nonce: z.int().min(0),
  /** The running operation. */
  running: runningSchema.exactOptional(),
  /** Counts tokens, micro-batches and finished operations; standing still means stuck. */
  progress: z.int().min(0),
  /** Requests waiting. */
  queued_requests: z.int().min(0),
  /** Their bytes. */
  queued_bytes: z.int().min(0),
});
export type PongMessage = z.infer<typeof pongMessageSchema>;

/** The worker finishes the running operation, drops the queue and exits with status 0. */
export const byeMessageSchema = z.strictObject({
  kind: z.literal('bye'),
});
export type ByeMessage = z.infer<typeof byeMessageSchema>;

export const workerMessageSchema = z.discriminatedUnion('kind', [helloMessageSchema, replyMessageSchema, pongMessageSchema]);
export type WorkerMessage = z.infer<typeof workerMessageSchema>;
export const controllerMessageSchema = z.discriminatedUnion('kind', [welcomeMessageSchema, refuseMessageSchema, requestMessageSchema, cancelMessageSchema, pingMessageSchema, byeMessageSchema]);
export type ControllerMessage = z.infer<typeof controllerMessageSchema>;

export const OPERATIONS = {
  /** Sets device and threads; first operation of a session. */
  configure: {
    mutating: true,
    args: z.strictObject({
  /** auto, cpu, cuda or cuda:N. */
  device: z.string().max(64),
  /** Threads of tensor operations; 0 leaves the library's choice. */
  threads: z.int().min(0).max(1024),
  /** Folder of the tokenization cache. */
  cache_dir: z.string().max(4096),
  /** Bytes that step handles may hold; 0 is no limit. */
  step_budget_bytes: z.int().min(0).max(9007199254740991),
  /** Bytes that buffer handles may hold; 0 is no limit. */
  buffer_budget_bytes: z.int().min(0).max(9007199254740991),
  /** Positions whose logits exist at a time; 0 takes the worker's table. */
  position_chunk: z.int().min(0).max(1048576),
  /** Rows that responses are drawn for at a time, at most; 0 leaves it to the engine. */
  rollout_rows: z.int().min(0).max(65536),
  /** How the student's losses and their gradients are computed; all agree up to rounding. Absent is auto, the worker's table. */
  loss_form: z.enum(["auto","plain","fused","compiled","triton"]).exactOptional(),
}),
    result: z.strictObject({
  /** Device in words. */
  device: z.string().max(256),
  /** Threads in use. */
  threads: z.int().min(1),
}),
  },
  /** Frees roles, critics, datasets, handles and metrics; the settings of configure stay. */
  reset: {
    mutating: true,
    args: z.strictObject({
  /** The teacher stays, as it was when it was loaded; absent is false. */
  keep_teacher: z.boolean().exactOptional(),
}),
    result: z.strictObject({

}),
  },
  /** Refuses a student and a teacher that cannot be trained together, by their configurations and tokenizers alone; loads neither. */
  compare_models: {
    mutating: false,
    args: z.strictObject({
  /** Student. */
  student: modelSchema,
  /** Teacher. */
  teacher: modelSchema,
}),
    result: z.strictObject({

}),
  },
  /** Loads the teacher or the student. A student gets an optimizer. */
  load_role: {
    mutating: true,
    args: z.strictObject({
  /** Role. */
  role: z.enum(["teacher","student"]),
  /** What to load. */
  model: modelSchema,
  /** For a role that is trained. */
  optimizer: optimizerSchema.exactOptional(),
  /** Recompute activations in backward. */
  gradient_checkpointing: z.boolean(),
  /** Train adapters instead of the weights. */
  lora: loraSchema.exactOptional(),
  /** Keep the weights in host memory, and on the device only while the role itself runs; its output head stays there. For a role that is not trained. Absent is false. */
  offload: z.boolean().exactOptional(),
  /** Generation engine; one that cannot serve the model is refused with the reason. Absent is auto, the fastest that can and is no experiment. */
  engine: z.enum(["auto","native","forward","native_graphs","vllm"]).exactOptional(),
}),
    result: z.strictObject({
  /** Count. */
  parameters: z.int().min(0),
  /** Of them, those that an optimizer moves. */
  trained_parameters: z.int().min(0),
  /** Tokens in the part shared with the tokenizer. */
  vocabulary: z.int().min(1),
  /** H. */
  hidden_size: z.int().min(1),
  /** Blocks. */
  layers: z.int().min(1),
  /** Class of the model. */
  architecture: z.string().max(128),
  /** Of vocabulary, rules, special tokens and chat template. */
  tokenizer_hash: z.string().max(64),
  /** Tokens that end a response. */
  eos_ids: z.array(z.int().min(0)).max(64),
  /** Generation engine that serves this model. */
  engine: z.string().max(64),
  /** Commit of the hub repository that the model was read from. */
  revision: z.string().max(64).exactOptional(),
  /** What a user should know, for example a fallback. */
  notes: z.array(z.string().max(1024)).max(32),
}),
  },
  /** Makes a critic with its optimizer. Needs both roles: its values are over the vocabulary that they share. */
  load_critic: {
    mutating: true,
    args: z.strictObject({
  /** Name, for example off or on. */
  critic: z.string().max(32),
  /** Shape. */
  spec: criticSpecSchema,
  /** Its optimizer. */
  optimizer: optimizerSchema,
}),
    result: z.strictObject({
  /** Trained parameters. */
  parameters: z.int().min(0),
}),
  },
  /** Reads, tokenizes (or takes from the cache) and names a dataset. Needs a role, for its tokenizer. */
  register_data: {
    mutating: true,
    args: z.strictObject({
  /** Name. */
  dataset: z.string().max(128),
  /** What to read. */
  source: dataSourceSchema,
}),
    result: z.strictObject({
  /** Rows. */
  rows: z.int().min(0),
  /** Of the rows used. */
  content_hash: z.string().max(64),
  /** Sum over rows. */
  prompt_tokens: z.int().min(0),
  /** Sum over rows. */
  response_tokens: z.int().min(0),
  /** Lines skipped, and rows that the template refuses. */
  bad_lines: z.int().min(0),
  /** Prompts cut to the limit. */
  cut_prompts: z.int().min(0),
  /** Rows left out, their prompts over the limit. */
  dropped_prompts: z.int().min(0),
  /** Rows without a reference. */
  unanswered: z.int().min(0),
  /** Responses cut to the limit; they have no EOS label. */
  cut_responses: z.int().min(0),
  /** Rows per task or category, where the source has them; of more than 256 the largest. */
  groups: mapSchema(z.int().min(0), 256),
  /** What a user should know, for example that the teacher ends its responses otherwise; absent is nothing. */
  notes: z.array(z.string().max(1024)).max(32).exactOptional(),
}),
  },
  /** Draws one response per row from a role's policy and keeps it under a handle. */
  generate: {
    mutating: true,
    args: z.strictObject({
  /** Rollout. */
  out: handleSchema,
  /** Policy. */
  role: z.enum(["teacher","student"]),
  /** Prompts. */
  dataset: z.string().max(128),
  /** Rows. */
  rows: z.array(z.int().min(0).max(9007199254740991)).max(65536),
  /** One per row: keys the random numbers together with seed and position. */
  sample_ids: z.array(z.int().min(0).max(9007199254740991)).max(65536),
  /** How. */
  sampling: samplingSchema,
  /** Seed. */
  seed: z.int().min(0).max(9007199254740991),
  /** m: each token is drawn from m times the teacher's distribution plus 1 - m times the student's; absent is 0. For the student. */
  mixture: z.number().min(0).max(1).exactOptional(),
  /** Take responses that the same weights gave to the same prompts, sample ids, sampling and seed from the cache folder, and keep new ones there; absent is false. For the teacher. */
  cache: z.boolean().exactOptional(),
  /** Drawn from the weights as they are now while later operations run, which do not wait for it; one that needs the rollout does. The responses are the same. A worker may also draw at once. Absent is false. For the student. */
  background: z.boolean().exactOptional(),
}),
    result: z.strictObject({
  /** Responses. */
  rows: z.int().min(0),
  /** Tokens of all responses, EOS included. */
  tokens: z.int().min(0),
  /** Tokens drawn now, so without those of responses from the cache; absent is tokens. */
  drawn_tokens: z.int().min(0).exactOptional(),
  /** Responses that ended with EOS. */
  ended: z.int().min(0),
  /** Responses taken from the cache. */
  cached: z.int().min(0),
  /** Version of the weights that drew them. */
  policy_version: z.int().min(0),
}),
  },
  /** Collates rows of several parts into one batch, and lays it out in micro-batches: rows of like length, of one part next to each other. One micro-batch keeps the order of the rows. */
  build: {
    mutating: true,
    args: z.strictObject({
  /** Batch; in the scope step. */
  out: handleSchema,
  /** Rows, in order; a part has several entries when its rows are of several rollouts. */
  parts: z.array(batchPartSchema).max(65536),
  /** Most rows of a micro-batch; absent: no limit. */
  micro_batch: z.int().min(1).max(65536).exactOptional(),
  /** Most tokens of a micro-batch, padding included (rows times longest row); a longer row has one to itself. Absent: no limit. */
  micro_tokens: z.int().min(1).max(9007199254740991).exactOptional(),
  /** The rows of a micro-batch go through the models as one sequence without padding, and micro_tokens counts their own tokens; refused as unsupported for a loaded model that cannot keep them apart. Absent is false. */
  packing: z.boolean().exactOptional(),
}),
    result: z.strictObject({
  /** Sequences. */
  rows: z.int().min(0),
  /** Tokens of prompts and responses. */
  tokens: z.int().min(0),
  /** Rows times longest row, summed over the micro-batches; with packing tokens. */
  padded_tokens: z.int().min(0),
  /** How many. */
  micro_batches: z.int().min(1),
  /** Per part. */
  response_tokens: mapSchema(z.int().min(0), 16),
}),
  },
  /** Runs the policies once over a batch and keeps the last hidden states at response positions with it. */
  score: {
    mutating: true,
    args: z.strictObject({
  /** Batch. */
  batch: handleSchema,
  /** Run the teacher. */
  teacher: z.boolean(),
  /** values: without graph, for critics; graph: kept for step_student, so that one pass serves both, when the batch is one micro-batch; otherwise as values. */
  student: z.enum(["none","values","graph"]),
}),
    result: z.strictObject({
  /** Time of the teacher's pass. */
  teacher_ms: z.number().min(0),
  /** Time of the student's pass. */
  student_ms: z.number().min(0),
  /** Whether the student's graph was kept for step_student. */
  student_graph: z.boolean(),
}),
  },
  /** One ascent step of each named critic on its part of a scored batch. */
  step_critic: {
    mutating: true,
    args: z.strictObject({
  /** Optimizer step, for the metrics. */
  step: z.int().min(0).max(9007199254740991),
  /** Scored batch. */
  batch: handleSchema,
  /** Which critics, on which parts. */
  updates: z.array(criticUpdateSchema).max(16),
  /** 0-based turn within the step; tightness is measured in turn 0, before the update. */
  turn: z.int().min(0).max(65536),
  /** Learning rate. */
  lr: z.number().min(0).max(10000000),
  /** Largest gradient norm; 0 is off. */
  clip_norm: z.number().min(0).max(1000000),
  /** Record tightness and value statistics. */
  diagnostics: z.boolean(),
}),
    result: z.strictObject({

}),
  },
  /** One descent step of the student on the weighted sum of terms. */
  step_student: {
    mutating: true,
    args: z.strictObject({
  /** Optimizer step, for the metrics. */
  step: z.int().min(0).max(9007199254740991),
  /** Batch; scored where a term needs a teacher or a critic. */
  batch: handleSchema,
  /** Terms. */
  terms: z.array(termSchema).max(32),
  /** Learning rate. */
  lr: z.number().min(0).max(1000),
  /** Largest gradient norm; 0 is off. */
  clip_norm: z.number().min(0).max(1000000),
  /** Record divergences, gaps, entropy and lengths in the same pass. */
  diagnostics: z.boolean(),
  /** Dropout of adapters is on in this pass and drawn from this seed; absent: off. */
  dropout_seed: z.int().min(0).max(9007199254740991).exactOptional(),
}),
    result: z.strictObject({
  /** Version of the student's weights after the step. */
  policy_version: z.int().min(0),
}),
  },
  /** Copies the step's metrics from the device once, and frees the handles step:N/... */
  end_step: {
    mutating: true,
    args: z.strictObject({
  /** N. */
  step: z.int().min(0).max(9007199254740991),
}),
    result: z.strictObject({
  /** Scalars by name; may be NaN or infinite. */
  metrics: mapSchema(wireNumberSchema, 4096),
  /** What lives on. */
  handles: z.array(handleUsageSchema).max(3),
}),
  },
  /** Generates for rows of a dataset and scores the responses against the references. */
  evaluate: {
    mutating: false,
    args: z.strictObject({
  /** Policy. */
  role: z.enum(["teacher","student"]),
  /** Prompts and references. */
  dataset: z.string().max(128),
  /** Rows. */
  rows: z.array(z.int().min(0).max(9007199254740991)).max(65536),
  /** How. */
  sampling: samplingSchema,
  /** Decoding seed; the row number is the sample id. */
  seed: z.int().min(0).max(9007199254740991),
  /** Names in the worker's registry of metrics, for example rouge_l or bleu. */
  metrics: z.array(z.string().max(64)).max(16),
  /** Texts sent back, from the first row. */
  texts: z.int().min(0).max(65536),
}),
    result: z.strictObject({
  /** Per metric whose figure is a mean over rows, one figure a row, 0 to 100. */
  scores: mapSchema(z.array(z.number()).max(65536), 16),
  /** Per metric whose figure is of all rows together, one list a row; their sums over rows decide it. bleu: length of the response, length of the closest reference, matched n-grams of orders 1 to 4, n-grams of orders 1 to 4. */
  statistics: mapSchema(z.array(z.array(z.number()).max(64)).max(65536), 16),
  /** Response tokens a row. */
  lengths: z.array(z.int().min(0)).max(65536),
  /** Responses that ended with EOS. */
  ended: z.int().min(0),
  /** Tokens generated. */
  tokens: z.int().min(0),
  /** Texts asked for. */
  texts: z.array(sampleTextSchema).max(65536),
}),
  },
  /** Runs a policy over the dataset's own responses (teacher forcing) and returns per-row means over response tokens. */
  measure: {
    mutating: false,
    args: z.strictObject({
  /** Policy measured. */
  role: z.enum(["teacher","student"]),
  /** Rows with responses. */
  dataset: z.string().max(128),
  /** Rows. */
  rows: z.array(z.int().min(0).max(9007199254740991)).max(65536),
  /** Objectives by name: cross_entropy, forward_kl, reverse_kl, tvd. */
  metrics: z.array(z.string().max(64)).max(16),
  /** Most rows at a time; absent: no limit. */
  micro_batch: z.int().min(1).max(65536).exactOptional(),
  /** Most tokens at a time, padding included (rows times longest row); a longer row goes alone. Absent: no limit. */
  micro_tokens: z.int().min(1).max(9007199254740991).exactOptional(),
  /** As in build. */
  packing: z.boolean().exactOptional(),
}),
    result: z.strictObject({
  /** Per metric, one mean a row. */
  values: mapSchema(z.array(z.number()).max(65536), 16),
  /** Response tokens a row. */
  tokens: z.array(z.int().min(0)).max(65536),
}),
  },
  /** Sends a rollout's tokens and log-probabilities. */
  fetch: {
    mutating: false,
    args: z.strictObject({
  /** Rollout. */
  rollout: handleSchema,
}),
    result: z.strictObject({
  /** [B, T] response tokens, padded with -1. */
  tokens: tensorRefSchema('int32', 2),
  /** [B, T] log-probability of each token under the distribution that drew it; 0 where padded. */
  log_probs: tensorRefSchema('float32', 2),
  /** Responses as text. */
  texts: z.array(z.string().max(1048576)).max(65536),
}),
  },
  /** Frees handles of the buffer or session scope. */
  drop: {
    mutating: true,
    args: z.strictObject({
  /** Handles. */
  handles: z.array(handleSchema).max(65536),
}),
    result: z.strictObject({

}),
  },
  /** A barrier between two steps: snapshots weights, optimizers, critics, policy version and buffer handles in host memory and starts writing them. The reply says staged, not durable. */
  stage_checkpoint: {
    mutating: true,
    args: z.strictObject({
  /** Name, for the commit. */
  checkpoint: z.string().max(128),
  /** Existing folder to write into. */
  dir: z.string().max(4096),
}),
    result: z.strictObject({
  /** Bytes staged. */
  bytes: z.int().min(0),
}),
  },
  /** Answers when a staged checkpoint's files are on disk (written, flushed, hashed). */
  commit_checkpoint: {
    mutating: false,
    args: z.strictObject({
  /** Name given to stage_checkpoint. */
  checkpoint: z.string().max(128),
}),
    result: z.strictObject({
  /** Files in the folder. */
  files: z.array(fileHashSchema).max(64),
}),
  },
  /** Puts a checkpoint's state into the loaded roles and critics, after checking hashes and shapes; all or nothing. */
  restore: {
    mutating: true,
    args: z.strictObject({
  /** Folder. */
  dir: z.string().max(4096),
  /** What commit_checkpoint answered. */
  files: z.array(fileHashSchema).max(64),
}),
    result: z.strictObject({
  /** Version of the restored student. */
  policy_version: z.int().min(0),
}),
  },
  /** Writes a role in Hugging Face format, with its tokenizer. */
  export: {
    mutating: false,
    args: z.strictObject({
  /** Role. */
  role: z.enum(["teacher","student"]),
  /** Folder; made when missing. */
  dir: z.string().max(4096),
  /** merged: adapters added into the weights; adapter: they alone, in PEFT's format; absent is merged. */
  form: z.enum(["merged","adapter"]).exactOptional(),
}),
    result: z.strictObject({
  /** Files written. */
  files: z.array(fileHashSchema).max(256),
}),
  },
  /** Reads a dataset of the literature from the hub or from files, and writes its splits as JSON lines with a manifest. Needs no role, and the session keeps nothing of it. */
  import_data: {
    mutating: true,
    args: z.strictObject({
  /** Name of an importer. */
  importer: z.string().max(64),
  /** Hub dataset, folder or file; absent: the importer's own hub dataset. */
  source: z.string().max(4096).exactOptional(),
  /** Folder, made whole or not at all; it must not hold anything. */
  dir: z.string().max(4096),
  /** Seed of choices at random. */
  seed: z.int().min(0).max(9007199254740991),
  /** Most rows, for an importer that has a limit; absent: its own. */
  limit: z.int().min(1).max(1000000000).exactOptional(),
}),
    result: z.strictObject({
  /** Files in the folder. */
  files: z.array(fileHashSchema).max(64),
  /** Rows of each split. */
  rows: mapSchema(z.int().min(0), 64),
  /** Rows left out, by reason. */
  dropped: mapSchema(z.int().min(0), 64),
  /** What the user should know, for example that the source is another than the literature's. */
  notes: z.array(z.string().max(4096)).max(32),
}),
  },
  /** Identities that must hold on the models and data loaded: a policy scored against itself has zero divergence with zero gradient and zero moment gap, masks count the labels, losses are finite. */
  preflight: {
    mutating: false,
    args: z.strictObject({
  /** Rows to try on. */
  dataset: z.string().max(128),
  /** Rows; the first four of them with a response are tried. */
  rows: z.array(z.int().min(0).max(9007199254740991)).max(1024),
}),
    result: z.strictObject({
  /** Outcome. */
  checks: z.array(checkSchema).max(64),
}),
  },
  /** Predicts the peak memory of the device in training as it is planned, on what is loaded, for the longest rows that the datasets have. Nothing that a later operation sees is changed. */
  predict_memory: {
    mutating: false,
    args: z.strictObject({
  /** Of a batch. */
  parts: z.array(plannedPartSchema).max(64),
  /** As for build. */
  micro_batch: z.int().min(1).max(65536).exactOptional(),
  /** As for build. */
  micro_tokens: z.int().min(1).max(9007199254740991).exactOptional(),
  /** As for build. */
  packing: z.boolean().exactOptional(),
  /** As for score. */
  teacher: z.boolean(),
  /** As for score. */
  student: z.enum(["none","values","graph"]),
  /** As for step_critic. */
  updates: z.array(criticUpdateSchema).max(16),
  /** As for step_student. */
  terms: z.array(termSchema).max(32),
  /** Some steps record them. */
  diagnostics: z.boolean(),
  /** Adapters have dropout in the student's step; absent is false. */
  dropout: z.boolean().exactOptional(),
  /** For batches and for evaluations. */
  rollouts: z.array(plannedRolloutSchema).max(256),
  /** Responses that are kept for later steps; absent is 0. */
  kept_rows: z.int().min(0).max(9007199254740991).exactOptional(),
  /** Written while training goes on. */
  checkpoints: z.boolean(),
  /** Go through a step and each rollout on tensors without numbers, which takes seconds, and through a small step in earnest, whose gradients are thrown away. Otherwise activations, logits and what libraries take are left out, and the prediction is a lower bound. */
  rehearse: z.boolean(),
}),
    result: z.strictObject({
  /** In the order of a step. */
  phases: z.array(memoryPhaseSchema).max(512),
  /** Of the phase with the largest sum; on a CPU above what the process had before models were loaded. */
  peak_bytes: z.int().min(0),
  /** What the worker may have, with what it holds already. */
  available_bytes: z.int().min(0),
  /** Why the prediction is a lower bound, although it was to be rehearsed. */
  missing: z.string().max(4096).exactOptional(),
}),
  },
  /** Memory and live handles. */
  report_memory: {
    mutating: false,
    args: z.strictObject({

}),
    result: z.strictObject({
  /** Of the process. */
  resident_bytes: z.int().min(0),
  /** Largest so far. */
  peak_resident_bytes: z.int().min(0),
  /** Allocated on the accelerator; 0 on CPU. */
  device_bytes: z.int().min(0),
  /** Largest so far. */
  peak_device_bytes: z.int().min(0),
  /** Per scope. */
  handles: z.array(handleUsageSchema).max(3),
}),
  },
} as const;

export type OperationName = keyof typeof OPERATIONS;
/** Arguments are only read, so callers may pass readonly data. */
export type Immutable<T> = T extends object ? { readonly [Key in keyof T]: Immutable<T[Key]> } : T;
export type OperationArgs<Name extends OperationName> = Immutable<z.infer<(typeof OPERATIONS)[Name]['args']>>;
export type OperationResult<Name extends OperationName> = z.infer<(typeof OPERATIONS)[Name]['result']>;
