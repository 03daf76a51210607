# Generated from protocol/protocol.json by 'npm run generate'. Do not edit.
"""The worker's side of the contract: msgspec structs, limits, error codes and operations."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

PROTOCOL_VERSION: Final = 1
PROTOCOL_HASH: Final = "3abd8606efa7d7a9c88b78826abac868dffdbe44ce75d7156e4a2886b2cc1c0f"

MAX_BODY_BYTES: Final = 8388608
"""Largest MessagePack body of one message, in bytes."""
MAX_FRAME_BYTES: Final = 67108864
"""Largest raw tensor frame, in bytes."""
MAX_FRAMES: Final = 16
"""Largest number of tensor frames of one message."""
MAX_DEPTH: Final = 16
"""Deepest nesting of maps and lists in a body."""
MAX_QUEUED_REQUESTS: Final = 64
"""Requests a worker holds, the running one included; one more is answered busy."""
MAX_QUEUED_BYTES: Final = 33554432
"""Bytes of the bodies and frames of queued requests; more is answered busy."""
MAX_STEPS_AHEAD: Final = 2
"""Optimizer steps a controller may have in flight."""
REMEMBERED_REPLIES: Final = 1024
"""Replies a worker keeps, by request id, to answer a repeated request without running it again."""
HEARTBEAT_MS: Final = 1000
"""Interval of ZMTP heartbeats and of application pings."""
LIVENESS_MS: Final = 10000
"""Silence of the socket thread after which a worker is taken for dead."""
HANDSHAKE_MS: Final = 120000
"""Time from the worker's start to its hello (importing torch and transformers takes seconds)."""
ORPHAN_MS: Final = 60000
"""Silence of the controller, which pings every heartbeat_ms, after which a worker exits that is not its child."""
QUEUE_MS: Final = 3600000
"""Longest wait of a request in the worker's queue, unless the request says otherwise."""

ErrorCode = Literal["version_mismatch", "unauthorized", "malformed", "unknown_operation", "invalid_argument", "oversize", "busy", "aborted", "stale_epoch", "duplicate", "cancelled", "deadline", "queue_timeout", "unknown_handle", "handle_exists", "over_budget", "not_loaded", "incompatible_vocabulary", "unsupported", "data_error", "model_error", "checkpoint_error", "out_of_memory", "internal"]
FATAL_ERRORS: Final[frozenset[str]] = frozenset({"version_mismatch", "unauthorized"})
Handle = Annotated[str, Meta(pattern=r"^(step:[0-9]{1,15}|buffer|session)/[A-Za-z0-9_.-]{1,96}$")]


class TensorRef(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A raw tensor frame of the same message; frame counts the frames after the body, from 0."""

    dtype: str
    shape: list[int]
    frame: int


class Arch(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Shape of a builtin model; builtin:t5 has so many layers on each side, and no use for max_positions."""

    hidden_size: Annotated[int, Meta(ge=8, le=65536)]
    """H."""
    layers: Annotated[int, Meta(ge=1, le=512)]
    """Transformer blocks."""
    heads: Annotated[int, Meta(ge=1, le=512)]
    """Attention heads."""
    kv_heads: Annotated[int, Meta(ge=1, le=512)]
    """Key/value heads."""
    intermediate_size: Annotated[int, Meta(ge=8, le=262144)]
    """Width of the feed-forward part."""
    max_positions: Annotated[int, Meta(ge=8, le=1048576)]
    """Longest sequence, in tokens."""
    tie_embeddings: bool
    """The head shares the embedding's weight."""

class Model(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from and how its weights start."""

    source: Annotated[str, Meta(max_length=4096)]
    """builtin:llama, builtin:t5, a folder, a hub name, gguf:PATH, or package:MODULE/FILE.gguf."""
    init: Literal["pretrained", "random", "layers"]
    """Weights as shipped, random by seed, or a subset of the source's layers."""
    layers: Annotated[list[Annotated[int, Meta(ge=0, le=511)]], Meta(max_length=512)] | UnsetType = UNSET
    """Layers kept, for init: layers."""
    arch: Arch | UnsetType = UNSET
    """Shape, for builtin models."""
    seed: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Seed of random weights."""
    dtype: Literal["float32", "bfloat16", "float16"]
    """Dtype of the weights; float32 for a role that is trained."""
    compute_dtype: Literal["float32", "bfloat16", "float16"] | UnsetType = UNSET
    """Dtype of matrix products (autocast), where it differs from the weights'."""
    trust_remote_code: bool
    """Run code shipped with the model."""
    attention: Literal["eager", "sdpa", "flash_attention_2"] | UnsetType = UNSET
    """Attention implementation; absent: the library's choice."""

class Optimizer(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """AdamW. The learning rate comes with each step."""

    beta1: Annotated[float, Meta(ge=0, le=1)]
    """Decay of the first moment."""
    beta2: Annotated[float, Meta(ge=0, le=1)]
    """Decay of the second moment."""
    eps: Annotated[float, Meta(ge=0, le=1)]
    """Added to the denominator."""
    weight_decay: Annotated[float, Meta(ge=0, le=10)]
    """Decoupled; not applied to norms and biases."""
    optimistic: bool | UnsetType = UNSET
    """Optimistic Adam: each update is twice the present one minus the one before; absent is false."""

class Lora(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Low-rank adapters: all other weights stay as they are."""

    rank: Annotated[int, Meta(ge=1, le=65536)]
    """r."""
    alpha: Annotated[float, Meta(ge=0, le=1000000)]
    """Scale; updates are multiplied by alpha / r."""
    dropout: Annotated[float, Meta(ge=0, le=0.99)]
    """On the adapters' inputs, in the student's step alone."""
    targets: Annotated[list[Annotated[str, Meta(max_length=128)]], Meta(max_length=64)]
    """Names of the layers that get one; none: all linear layers but the head."""
    seed: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Seed of the adapters' weights."""

class CriticSpec(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A critic f(s, .) with one value per token."""

    head: Annotated[str, Meta(max_length=64)]
    """Name in the worker's registry of critic heads."""
    form: Literal["free", "ratio"] | UnsetType = UNSET
    """free: the head gives the values before the bound; ratio: logits of a guess q at the student, f = 2 tanh(1/2 log(teacher / q)), for the bound mixture. Absent is free."""
    features: Literal["teacher", "student"]
    """Whose last hidden state the critic sees."""
    hidden_size: Annotated[int, Meta(ge=1, le=65536)]
    """Width of the critic's MLP."""
    rank: Annotated[int, Meta(ge=0, le=65536)] | UnsetType = UNSET
    """Trained numbers per token that a bilinear or policy head has beside the frozen embedding; absent is 0."""
    bound: Literal["tanh", "mixture", "student"]
    """tanh: f in [-B, B]; otherwise a penalty 1/2 E_mu f^2 in the critic's objective, with mu the mixture of both policies or the student."""
    bound_value: Annotated[float, Meta(ge=0, le=1000)]
    """B."""
    seed: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Seed of the weights."""
    spectral_norm: bool | UnsetType = UNSET
    """Keep the largest singular value of each weight matrix at 1; absent is false."""
    gradient_penalty: Annotated[float, Meta(ge=0, le=1000000)] | UnsetType = UNSET
    """Weight of the gradient penalty; absent is 0, off."""
    gradient_penalty_target: Annotated[float, Meta(ge=0, le=1000000)] | UnsetType = UNSET
    """Gradient norm that the penalty pulls to; absent is 0.4."""
    target_decay: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    """The student sees an average of the critic's weights, decaying by this a turn; absent: the critic itself."""

class DataSource(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A dataset and how it becomes tokens."""

    source: Annotated[str, Meta(max_length=4096)]
    """builtin:microtasks, a JSONL or parquet file, or a hub dataset name."""
    split: Annotated[str, Meta(max_length=128)]
    """Split of the source, for example train, validation or a test set's name."""
    template: Literal["alpaca", "chat", "plain", "text"]
    """Prompt template."""
    fields: Annotated[dict[str, Annotated[str, Meta(max_length=128)]], Meta(max_length=16)]
    """Names of the source's columns: instruction, input, output, or messages."""
    max_prompt_tokens: Annotated[int, Meta(ge=1, le=1048576)]
    """Prompts are cut to this length."""
    template_options: Annotated[str, Meta(max_length=4096)] | UnsetType = UNSET
    """Variables of the chat template besides the messages, a JSON object; absent is none."""
    long_prompts: Literal["cut", "drop"] | UnsetType = UNSET
    """drop: rows with longer prompts are left out instead; absent is cut."""
    max_tokens: Annotated[int, Meta(ge=2, le=1048576)]
    """Prompt and response are cut to this length."""
    limit: Annotated[int, Meta(ge=1, le=9007199254740991)] | UnsetType = UNSET
    """Rows used, from the first."""
    validation_fraction: Annotated[float, Meta(ge=0, le=0.9)]
    """Share of rows that a split by seed sends to the split named validation."""
    seed: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Seed of the split, and of generated data."""
    skip_bad_lines: bool
    """Count bad lines instead of failing."""

class Sampling(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How tokens are drawn."""

    temperature: Annotated[float, Meta(ge=0, le=100)]
    """Divides the logits; 0 is greedy."""
    top_p: Annotated[float, Meta(ge=0, le=1)]
    """Nucleus; 1 is off."""
    top_k: Annotated[int, Meta(ge=0, le=1048576)]
    """0 is off."""
    max_new_tokens: Annotated[int, Meta(ge=1, le=1048576)]
    """Response length at most, EOS included."""
    no_repeat_ngram_size: Annotated[int, Meta(ge=0, le=64)]
    """0 is off."""
    suppress_eos: bool
    """Never ends before max_new_tokens; for measurements."""

class BatchPart(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Rows that enter a batch under a part's name: from a dataset, or from a rollout handle (exactly one of the two)."""

    part: Annotated[str, Meta(max_length=32)]
    """Part name that terms refer to, for example off or on."""
    dataset: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET
    """Registered dataset."""
    rows: Annotated[list[Annotated[int, Meta(ge=0, le=9007199254740991)]], Meta(max_length=65536)] | UnsetType = UNSET
    """Row numbers of the dataset."""
    rollout: Handle | UnsetType = UNSET
    """Rows of this rollout."""
    picks: Annotated[list[Annotated[int, Meta(ge=0, le=65535)]], Meta(max_length=65536)] | UnsetType = UNSET
    """Which rows of the rollout, from 0; absent is all."""

class Returns(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Policy gradient of a term: how the costs of later positions reach the tokens drawn before them."""

    gradient: Literal["return", "reinforce"]
    """return: the loss at each state, and log pi(y_t) times the later positions' costs; reinforce: log pi(y_t) times the sampled costs from t on, and nothing else."""
    costs: Literal["exact", "sampled"]
    """Of later positions under return: the loss of the state, or its one-sample estimate at the token drawn."""
    norm: Literal["none", "length"]
    """length: divide a return by the number of positions in it."""
    baseline: Literal["none", "leave_one_out", "whiten"]
    """leave_one_out: subtract the mean return of the step's other sequences at the same position; whiten: mean 0 and deviation 1 over the step."""
    importance: Literal["none", "token", "sequence"]
    """Weights for responses that another distribution drew: the ratio of each token, or of the whole response."""
    ratio_limit: Annotated[float, Meta(ge=0, le=1000000)]
    """Largest importance weight; 0 is no limit."""
    clip: Annotated[float, Meta(ge=0, le=1)]
    """PPO's clip of the ratio to 1 - clip .. 1 + clip; 0 is off. Needs importance token."""

class Term(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One term of the student's objective: a mean over its part's valid tokens of the whole optimizer step."""

    name: Annotated[str, Meta(max_length=64)]
    """Name in the metrics."""
    objective: Annotated[str, Meta(max_length=64)]
    """Name in the worker's registry of objectives."""
    part: Annotated[str, Meta(max_length=32)]
    """A part of the batch, or all."""
    weight: Annotated[float, Meta(ge=-1000000, le=1000000)]
    """Factor of the mean."""
    critic: Annotated[str, Meta(max_length=32)] | UnsetType = UNSET
    """Critic whose values the objective takes."""
    params: Annotated[dict[str, Annotated[float, Meta(ge=-1000000, le=1000000)]], Meta(max_length=16)]
    """Parameters of the objective: beta, alpha, temperature."""
    gamma: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    """Discount per response position; absent is 1. The loss at position t (from 0) counts gamma^t."""
    drop_discount: bool | UnsetType = UNSET
    """Leave the factor gamma^t out, and keep gamma in the returns alone; absent is false."""
    returns: Returns | UnsetType = UNSET
    """Also go through the distribution of states; absent is the gradient at the given states alone. Needs a part whose rows the student drew, and its hidden states from score."""

class CriticUpdate(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One critic's ascent step on one part of the batch."""

    critic: Annotated[str, Meta(max_length=32)]
    """Critic name."""
    part: Annotated[str, Meta(max_length=32)]
    """Part of the batch."""

class HandleUsage(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Live handles of one scope."""

    scope: Literal["step", "buffer", "session"]
    """Scope."""
    count: Annotated[int, Meta(ge=0)]
    """Live handles."""
    bytes: Annotated[int, Meta(ge=0)]
    """Their bytes."""

class FileHash(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A written file."""

    name: Annotated[str, Meta(max_length=512)]
    """Path relative to the folder."""
    bytes: Annotated[int, Meta(ge=0)]
    """Size."""
    sha256: Annotated[str, Meta(max_length=64)]
    """Hex digest."""

class SampleText(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A generated text."""

    row: Annotated[int, Meta(ge=0)]
    """Row of the dataset."""
    prompt: Annotated[str, Meta(max_length=1048576)]
    """Prompt as text."""
    text: Annotated[str, Meta(max_length=1048576)]
    """Response as text."""
    references: Annotated[list[Annotated[str, Meta(max_length=1048576)]], Meta(max_length=256)]
    """Reference responses."""

class Check(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One preflight check."""

    name: Annotated[str, Meta(max_length=128)]
    """What was checked."""
    ok: bool
    """Whether it held."""
    value: float | UnsetType = UNSET
    """Measured figure."""
    limit: float | UnsetType = UNSET
    """Largest figure allowed."""
    detail: Annotated[str, Meta(max_length=4096)]
    """A sentence for people."""

class PlannedPart(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Rows that a batch will have, before they are known."""

    part: Annotated[str, Meta(max_length=32)]
    """Part name."""
    dataset: Annotated[str, Meta(max_length=128)]
    """Registered dataset of the prompts."""
    rows: Annotated[int, Meta(ge=1, le=65536)]
    """How many."""
    max_new_tokens: Annotated[int, Meta(ge=1, le=1048576)] | UnsetType = UNSET
    """Longest response that a policy draws; absent: the dataset's own responses."""

class PlannedRollout(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Responses that will be drawn."""

    name: Annotated[str, Meta(max_length=128)]
    """Name of its phase."""
    role: Literal["teacher", "student"]
    """Policy."""
    dataset: Annotated[str, Meta(max_length=128)]
    """Prompts."""
    rows: Annotated[int, Meta(ge=1, le=65536)]
    """Of one request."""
    sampling: Sampling
    """How."""
    mixture: bool | UnsetType = UNSET
    """The teacher takes part; absent is false."""
    background: bool | UnsetType = UNSET
    """Drawn while other operations run; absent is false."""

class MemoryPhase(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is held at the peak of one phase of training."""

    name: Annotated[str, Meta(max_length=128)]
    """scoring, critics, student, update, checkpoint, or the name of a planned rollout."""
    items: Annotated[dict[str, Annotated[int, Meta(ge=0)]], Meta(max_length=64)]
    """Bytes by what they are for; their sum is the peak."""

class ErrorInfo(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Why a request failed."""

    code: ErrorCode
    """Stable code."""
    message: Annotated[str, Meta(max_length=65536)]
    """One sentence that names the place and the remedy."""
    detail: Annotated[str, Meta(max_length=65536)] | UnsetType = UNSET
    """Traceback or further lines."""
    aborted_by: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    """Id of the request that failed first in the epoch."""
    applied: bool
    """Whether the operation's changes were made."""

class Running(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What the operation thread is doing."""

    id: Annotated[int, Meta(ge=0)]
    """Request id."""
    op: Annotated[str, Meta(max_length=64)]
    """Operation."""
    elapsed_ms: Annotated[float, Meta(ge=0)]
    """Since it began."""

class HelloMessage(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="hello"):
    """The worker's first message."""

    protocol_version: Annotated[int, Meta(ge=0)]
    """Version of this file."""
    protocol_hash: Annotated[str, Meta(max_length=64)]
    """SHA-256 of this file's canonical JSON."""
    packages: Annotated[dict[str, Annotated[str, Meta(max_length=128)]], Meta(max_length=64)]
    """Versions: python, torch, transformers, ..."""
    devices: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=64)]
    """Devices the worker can use, for example cpu or cuda:0 NVIDIA H200."""
    pid: Annotated[int, Meta(ge=0)]
    """Process id."""
    token: Annotated[str, Meta(max_length=256)]
    """The run's token, from the environment variable AMMD_TOKEN."""

class WelcomeMessage(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="welcome"):
    """Answers a hello that agrees."""

    protocol_version: Annotated[int, Meta(ge=0)]
    """The controller's version."""

class RefuseMessage(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="refuse"):
    """Answers a hello that does not agree; the worker exits with status 3."""

    error: ErrorInfo
    """Why, with both versions."""

class RequestMessage(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="request"):
    """One operation. Requests run in the order sent."""

    id: Annotated[int, Meta(ge=1, le=9007199254740991)]
    """Strictly increasing over the connection."""
    epoch: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """After an error the worker refuses all later requests of the epoch; a request of a higher epoch opens that epoch."""
    op: Annotated[str, Meta(max_length=64)]
    """Operation name."""
    args: Raw
    """The operation's arguments."""
    deadline_ms: Annotated[float, Meta(ge=0, le=604800000)] | UnsetType = UNSET
    """Longest execution, from its start."""
    queue_ms: Annotated[float, Meta(ge=0, le=604800000)] | UnsetType = UNSET
    """Longest wait in the queue."""

class ReplyMessage(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="reply"):
    """The outcome of one request: result or error."""

    id: Annotated[int, Meta(ge=0)]
    """The request's id; 0 when the request was too malformed to have one."""
    result: Any | UnsetType = UNSET
    """The operation's result."""
    error: ErrorInfo | UnsetType = UNSET
    """Why it failed."""
    run_ms: Annotated[float, Meta(ge=0)]
    """Execution time."""
    idle_ms: Annotated[float, Meta(ge=0)]
    """Time the operation thread had nothing to do before this request."""

class CancelMessage(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="cancel"):
    """Handled by the socket thread, never queued. The request's own reply tells the outcome."""

    id: Annotated[int, Meta(ge=1, le=9007199254740991)]
    """Request to cancel."""

class PingMessage(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ping"):
    """Handled by the socket thread."""

    nonce: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Comes back in the pong."""

class PongMessage(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="pong"):
    """Sent by the socket thread, also while an operation runs."""

    nonce: Annotated[int, Meta(ge=0)]
    """Of the ping."""
    running: Running | UnsetType = UNSET
    """The running operation."""
    progress: Annotated[int, Meta(ge=0)]
    """Counts tokens, micro-batches and finished operations; standing still means stuck."""
    queued_requests: Annotated[int, Meta(ge=0)]
    """Requests waiting."""
    queued_bytes: Annotated[int, Meta(ge=0)]
    """Their bytes."""

class ByeMessage(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="bye"):
    """The worker finishes the running operation, drops the queue and exits with status 0."""

class ConfigureArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Sets device and threads; first operation of a session."""

    device: Annotated[str, Meta(max_length=64)]
    """auto, cpu, cuda or cuda:N."""
    threads: Annotated[int, Meta(ge=0, le=1024)]
    """Threads of tensor operations; 0 leaves the library's choice."""
    cache_dir: Annotated[str, Meta(max_length=4096)]
    """Folder of the tokenization cache."""
    step_budget_bytes: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Bytes that step handles may hold; 0 is no limit."""
    buffer_budget_bytes: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Bytes that buffer handles may hold; 0 is no limit."""
    position_chunk: Annotated[int, Meta(ge=0, le=1048576)]
    """Positions whose logits exist at a time; 0 takes the worker's table."""
    rollout_rows: Annotated[int, Meta(ge=0, le=65536)]
    """Rows that responses are drawn for at a time, at most; 0 leaves it to the engine."""
    loss_form: Literal["auto", "plain", "fused", "compiled", "triton"] | UnsetType = UNSET
    """How the student's losses and their gradients are computed; all agree up to rounding. Absent is auto, the worker's table."""

class ConfigureResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of configure."""

    device: Annotated[str, Meta(max_length=256)]
    """Device in words."""
    threads: Annotated[int, Meta(ge=1)]
    """Threads in use."""

class ResetArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Frees roles, critics, datasets, handles and metrics; the settings of configure stay."""

    keep_teacher: bool | UnsetType = UNSET
    """The teacher stays, as it was when it was loaded; absent is false."""

class ResetResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of reset."""

class CompareModelsArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Refuses a student and a teacher that cannot be trained together, by their configurations and tokenizers alone; loads neither."""

    student: Model
    """Student."""
    teacher: Model
    """Teacher."""

class CompareModelsResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of compare_models."""

class LoadRoleArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Loads the teacher or the student. A student gets an optimizer."""

    role: Literal["teacher", "student"]
    """Role."""
    model: Model
    """What to load."""
    optimizer: Optimizer | UnsetType = UNSET
    """For a role that is trained."""
    gradient_checkpointing: bool
    """Recompute activations in backward."""
    lora: Lora | UnsetType = UNSET
    """Train adapters instead of the weights."""
    offload: bool | UnsetType = UNSET
    """Keep the weights in host memory, and on the device only while the role itself runs; its output head stays there. For a role that is not trained. Absent is false."""
    engine: Literal["auto", "native", "forward", "native_graphs", "vllm"] | UnsetType = UNSET
    """Generation engine; one that cannot serve the model is refused with the reason. Absent is auto, the fastest that can and is no experiment."""

class LoadRoleResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of load_role."""

    parameters: Annotated[int, Meta(ge=0)]
    """Count."""
    trained_parameters: Annotated[int, Meta(ge=0)]
    """Of them, those that an optimizer moves."""
    vocabulary: Annotated[int, Meta(ge=1)]
    """Tokens in the part shared with the tokenizer."""
    hidden_size: Annotated[int, Meta(ge=1)]
    """H."""
    layers: Annotated[int, Meta(ge=1)]
    """Blocks."""
    architecture: Annotated[str, Meta(max_length=128)]
    """Class of the model."""
    tokenizer_hash: Annotated[str, Meta(max_length=64)]
    """Of vocabulary, rules, special tokens and chat template."""
    eos_ids: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(max_length=64)]
    """Tokens that end a response."""
    engine: Annotated[str, Meta(max_length=64)]
    """Generation engine that serves this model."""
    revision: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    """Commit of the hub repository that the model was read from."""
    notes: Annotated[list[Annotated[str, Meta(max_length=1024)]], Meta(max_length=32)]
    """What a user should know, for example a fallback."""

class LoadCriticArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Makes a critic with its optimizer. Needs both roles: its values are over the vocabulary that they share."""

    critic: Annotated[str, Meta(max_length=32)]
    """Name, for example off or on."""
    spec: CriticSpec
    """Shape."""
    optimizer: Optimizer
    """Its optimizer."""

class LoadCriticResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of load_critic."""

    parameters: Annotated[int, Meta(ge=0)]
    """Trained parameters."""

class RegisterDataArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Reads, tokenizes (or takes from the cache) and names a dataset. Needs a role, for its tokenizer."""

    dataset: Annotated[str, Meta(max_length=128)]
    """Name."""
    source: DataSource
    """What to read."""

class RegisterDataResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of register_data."""

    rows: Annotated[int, Meta(ge=0)]
    """Rows."""
    content_hash: Annotated[str, Meta(max_length=64)]
    """Of the rows used."""
    prompt_tokens: Annotated[int, Meta(ge=0)]
    """Sum over rows."""
    response_tokens: Annotated[int, Meta(ge=0)]
    """Sum over rows."""
    bad_lines: Annotated[int, Meta(ge=0)]
    """Lines skipped, and rows that the template refuses."""
    cut_prompts: Annotated[int, Meta(ge=0)]
    """Prompts cut to the limit."""
    dropped_prompts: Annotated[int, Meta(ge=0)]
    """Rows left out, their prompts over the limit."""
    unanswered: Annotated[int, Meta(ge=0)]
    """Rows without a reference."""
    cut_responses: Annotated[int, Meta(ge=0)]
    """Responses cut to the limit; they have no EOS label."""
    groups: Annotated[dict[str, Annotated[int, Meta(ge=0)]], Meta(max_length=256)]
    """Rows per task or category, where the source has them; of more than 256 the largest."""
    notes: Annotated[list[Annotated[str, Meta(max_length=1024)]], Meta(max_length=32)] | UnsetType = UNSET
    """What a user should know, for example that the teacher ends its responses otherwise; absent is nothing."""

class GenerateArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Draws one response per row from a role's policy and keeps it under a handle."""

    out: Handle
    """Rollout."""
    role: Literal["teacher", "student"]
    """Policy."""
    dataset: Annotated[str, Meta(max_length=128)]
    """Prompts."""
    rows: Annotated[list[Annotated[int, Meta(ge=0, le=9007199254740991)]], Meta(max_length=65536)]
    """Rows."""
    sample_ids: Annotated[list[Annotated[int, Meta(ge=0, le=9007199254740991)]], Meta(max_length=65536)]
    """One per row: keys the random numbers together with seed and position."""
    sampling: Sampling
    """How."""
    seed: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Seed."""
    mixture: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    """m: each token is drawn from m times the teacher's distribution plus 1 - m times the student's; absent is 0. For the student."""
    cache: bool | UnsetType = UNSET
    """Take responses that the same weights gave to the same prompts, sample ids, sampling and seed from the cache folder, and keep new ones there; absent is false. For the teacher."""
    background: bool | UnsetType = UNSET
    """Drawn from the weights as they are now while later operations run, which do not wait for it; one that needs the rollout does. The responses are the same. A worker may also draw at once. Absent is false. For the student."""

class GenerateResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of generate."""

    rows: Annotated[int, Meta(ge=0)]
    """Responses."""
    tokens: Annotated[int, Meta(ge=0)]
    """Tokens of all responses, EOS included."""
    drawn_tokens: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    """Tokens drawn now, so without those of responses from the cache; absent is tokens."""
    ended: Annotated[int, Meta(ge=0)]
    """Responses that ended with EOS."""
    cached: Annotated[int, Meta(ge=0)]
    """Responses taken from the cache."""
    policy_version: Annotated[int, Meta(ge=0)]
    """Version of the weights that drew them."""

class BuildArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Collates rows of several parts into one batch, and lays it out in micro-batches: rows of like length, of one part next to each other. One micro-batch keeps the order of the rows."""

    out: Handle
    """Batch; in the scope step."""
    parts: Annotated[list[BatchPart], Meta(max_length=65536)]
    """Rows, in order; a part has several entries when its rows are of several rollouts."""
    micro_batch: Annotated[int, Meta(ge=1, le=65536)] | UnsetType = UNSET
    """Most rows of a micro-batch; absent: no limit."""
    micro_tokens: Annotated[int, Meta(ge=1, le=9007199254740991)] | UnsetType = UNSET
    """Most tokens of a micro-batch, padding included (rows times longest row); a longer row has one to itself. Absent: no limit."""
    packing: bool | UnsetType = UNSET
    """The rows of a micro-batch go through the models as one sequence without padding, and micro_tokens counts their own tokens; refused as unsupported for a loaded model that cannot keep them apart. Absent is false."""

class BuildResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of build."""

    rows: Annotated[int, Meta(ge=0)]
    """Sequences."""
    tokens: Annotated[int, Meta(ge=0)]
    """Tokens of prompts and responses."""
    padded_tokens: Annotated[int, Meta(ge=0)]
    """Rows times longest row, summed over the micro-batches; with packing tokens."""
    micro_batches: Annotated[int, Meta(ge=1)]
    """How many."""
    response_tokens: Annotated[dict[str, Annotated[int, Meta(ge=0)]], Meta(max_length=16)]
    """Per part."""

class ScoreArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Runs the policies once over a batch and keeps the last hidden states at response positions with it."""

    batch: Handle
    """Batch."""
    teacher: bool
    """Run the teacher."""
    student: Literal["none", "values", "graph"]
    """values: without graph, for critics; graph: kept for step_student, so that one pass serves both, when the batch is one micro-batch; otherwise as values."""

class ScoreResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of score."""

    teacher_ms: Annotated[float, Meta(ge=0)]
    """Time of the teacher's pass."""
    student_ms: Annotated[float, Meta(ge=0)]
    """Time of the student's pass."""
    student_graph: bool
    """Whether the student's graph was kept for step_student."""

class StepCriticArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One ascent step of each named critic on its part of a scored batch."""

    step: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Optimizer step, for the metrics."""
    batch: Handle
    """Scored batch."""
    updates: Annotated[list[CriticUpdate], Meta(max_length=16)]
    """Which critics, on which parts."""
    turn: Annotated[int, Meta(ge=0, le=65536)]
    """0-based turn within the step; tightness is measured in turn 0, before the update."""
    lr: Annotated[float, Meta(ge=0, le=10000000)]
    """Learning rate."""
    clip_norm: Annotated[float, Meta(ge=0, le=1000000)]
    """Largest gradient norm; 0 is off."""
    diagnostics: bool
    """Record tightness and value statistics."""

class StepCriticResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of step_critic."""

class StepStudentArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One descent step of the student on the weighted sum of terms."""

    step: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Optimizer step, for the metrics."""
    batch: Handle
    """Batch; scored where a term needs a teacher or a critic."""
    terms: Annotated[list[Term], Meta(max_length=32)]
    """Terms."""
    lr: Annotated[float, Meta(ge=0, le=1000)]
    """Learning rate."""
    clip_norm: Annotated[float, Meta(ge=0, le=1000000)]
    """Largest gradient norm; 0 is off."""
    diagnostics: bool
    """Record divergences, gaps, entropy and lengths in the same pass."""
    dropout_seed: Annotated[int, Meta(ge=0, le=9007199254740991)] | UnsetType = UNSET
    """Dropout of adapters is on in this pass and drawn from this seed; absent: off."""

class StepStudentResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of step_student."""

    policy_version: Annotated[int, Meta(ge=0)]
    """Version of the student's weights after the step."""

class EndStepArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Copies the step's metrics from the device once, and frees the handles step:N/..."""

    step: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """N."""

class EndStepResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of end_step."""

    metrics: Annotated[dict[str, float], Meta(max_length=4096)]
    """Scalars by name; may be NaN or infinite."""
    handles: Annotated[list[HandleUsage], Meta(max_length=3)]
    """What lives on."""

class EvaluateArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Generates for rows of a dataset and scores the responses against the references."""

    role: Literal["teacher", "student"]
    """Policy."""
    dataset: Annotated[str, Meta(max_length=128)]
    """Prompts and references."""
    rows: Annotated[list[Annotated[int, Meta(ge=0, le=9007199254740991)]], Meta(max_length=65536)]
    """Rows."""
    sampling: Sampling
    """How."""
    seed: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Decoding seed; the row number is the sample id."""
    metrics: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=16)]
    """Names in the worker's registry of metrics, for example rouge_l or bleu."""
    texts: Annotated[int, Meta(ge=0, le=65536)]
    """Texts sent back, from the first row."""

class EvaluateResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of evaluate."""

    scores: Annotated[dict[str, Annotated[list[float], Meta(max_length=65536)]], Meta(max_length=16)]
    """Per metric whose figure is a mean over rows, one figure a row, 0 to 100."""
    statistics: Annotated[dict[str, Annotated[list[Annotated[list[float], Meta(max_length=64)]], Meta(max_length=65536)]], Meta(max_length=16)]
    """Per metric whose figure is of all rows together, one list a row; their sums over rows decide it. bleu: length of the response, length of the closest reference, matched n-grams of orders 1 to 4, n-grams of orders 1 to 4."""
    lengths: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(max_length=65536)]
    """Response tokens a row."""
    ended: Annotated[int, Meta(ge=0)]
    """Responses that ended with EOS."""
    tokens: Annotated[int, Meta(ge=0)]
    """Tokens generated."""
    texts: Annotated[list[SampleText], Meta(max_length=65536)]
    """Texts asked for."""

class MeasureArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Runs a policy over the dataset's own responses (teacher forcing) and returns per-row means over response tokens."""

    role: Literal["teacher", "student"]
    """Policy measured."""
    dataset: Annotated[str, Meta(max_length=128)]
    """Rows with responses."""
    rows: Annotated[list[Annotated[int, Meta(ge=0, le=9007199254740991)]], Meta(max_length=65536)]
    """Rows."""
    metrics: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=16)]
    """Objectives by name: cross_entropy, forward_kl, reverse_kl, tvd."""
    micro_batch: Annotated[int, Meta(ge=1, le=65536)] | UnsetType = UNSET
    """Most rows at a time; absent: no limit."""
    micro_tokens: Annotated[int, Meta(ge=1, le=9007199254740991)] | UnsetType = UNSET
    """Most tokens at a time, padding included (rows times longest row); a longer row goes alone. Absent: no limit."""
    packing: bool | UnsetType = UNSET
    """As in build."""

class MeasureResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of measure."""

    values: Annotated[dict[str, Annotated[list[float], Meta(max_length=65536)]], Meta(max_length=16)]
    """Per metric, one mean a row."""
    tokens: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(max_length=65536)]
    """Response tokens a row."""

class FetchArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Sends a rollout's tokens and log-probabilities."""

    rollout: Handle
    """Rollout."""

class FetchResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of fetch."""

    tokens: Any
    """[B, T] response tokens, padded with -1."""
    log_probs: Any
    """[B, T] log-probability of each token under the distribution that drew it; 0 where padded."""
    texts: Annotated[list[Annotated[str, Meta(max_length=1048576)]], Meta(max_length=65536)]
    """Responses as text."""

class DropArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Frees handles of the buffer or session scope."""

    handles: Annotated[list[Handle], Meta(max_length=65536)]
    """Handles."""

class DropResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of drop."""

class StageCheckpointArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A barrier between two steps: snapshots weights, optimizers, critics, policy version and buffer handles in host memory and starts writing them. The reply says staged, not durable."""

    checkpoint: Annotated[str, Meta(max_length=128)]
    """Name, for the commit."""
    dir: Annotated[str, Meta(max_length=4096)]
    """Existing folder to write into."""

class StageCheckpointResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of stage_checkpoint."""

    bytes: Annotated[int, Meta(ge=0)]
    """Bytes staged."""

class CommitCheckpointArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Answers when a staged checkpoint's files are on disk (written, flushed, hashed)."""

    checkpoint: Annotated[str, Meta(max_length=128)]
    """Name given to stage_checkpoint."""

class CommitCheckpointResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of commit_checkpoint."""

    files: Annotated[list[FileHash], Meta(max_length=64)]
    """Files in the folder."""

class RestoreArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Puts a checkpoint's state into the loaded roles and critics, after checking hashes and shapes; all or nothing."""

    dir: Annotated[str, Meta(max_length=4096)]
    """Folder."""
    files: Annotated[list[FileHash], Meta(max_length=64)]
    """What commit_checkpoint answered."""

class RestoreResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of restore."""

    policy_version: Annotated[int, Meta(ge=0)]
    """Version of the restored student."""

class ExportArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Writes a role in Hugging Face format, with its tokenizer."""

    role: Literal["teacher", "student"]
    """Role."""
    dir: Annotated[str, Meta(max_length=4096)]
    """Folder; made when missing."""
    form: Literal["merged", "adapter"] | UnsetType = UNSET
    """merged: adapters added into the weights; adapter: they alone, in PEFT's format; absent is merged."""

class ExportResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of export."""

    files: Annotated[list[FileHash], Meta(max_length=256)]
    """Files written."""

class ImportDataArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Reads a dataset of the literature from the hub or from files, and writes its splits as JSON lines with a manifest. Needs no role, and the session keeps nothing of it."""

    importer: Annotated[str, Meta(max_length=64)]
    """Name of an importer."""
    source: Annotated[str, Meta(max_length=4096)] | UnsetType = UNSET
    """Hub dataset, folder or file; absent: the importer's own hub dataset."""
    dir: Annotated[str, Meta(max_length=4096)]
    """Folder, made whole or not at all; it must not hold anything."""
    seed: Annotated[int, Meta(ge=0, le=9007199254740991)]
    """Seed of choices at random."""
    limit: Annotated[int, Meta(ge=1, le=1000000000)] | UnsetType = UNSET
    """Most rows, for an importer that has a limit; absent: its own."""

class ImportDataResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of import_data."""

    files: Annotated[list[FileHash], Meta(max_length=64)]
    """Files in the folder."""
    rows: Annotated[dict[str, Annotated[int, Meta(ge=0)]], Meta(max_length=64)]
    """Rows of each split."""
    dropped: Annotated[dict[str, Annotated[int, Meta(ge=0)]], Meta(max_length=64)]
    """Rows left out, by reason."""
    notes: Annotated[list[Annotated[str, Meta(max_length=4096)]], Meta(max_length=32)]
    """What the user should know, for example that the source is another than the literature's."""

class PreflightArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Identities that must hold on the models and data loaded: a policy scored against itself has zero divergence with zero gradient and zero moment gap, masks count the labels, losses are finite."""

    dataset: Annotated[str, Meta(max_length=128)]
    """Rows to try on."""
    rows: Annotated[list[Annotated[int, Meta(ge=0, le=9007199254740991)]], Meta(max_length=1024)]
    """Rows."""

class PreflightResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of preflight."""

    checks: Annotated[list[Check], Meta(max_length=64)]
    """Outcome."""

class PredictMemoryArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Predicts the peak memory of the device in training as it is planned, on what is loaded, for the longest rows that the datasets have. Nothing that a later operation sees is changed."""

    parts: Annotated[list[PlannedPart], Meta(max_length=64)]
    """Of a batch."""
    micro_batch: Annotated[int, Meta(ge=1, le=65536)] | UnsetType = UNSET
    """As for build."""
    micro_tokens: Annotated[int, Meta(ge=1, le=9007199254740991)] | UnsetType = UNSET
    """As for build."""
    packing: bool | UnsetType = UNSET
    """As for build."""
    teacher: bool
    """As for score."""
    student: Literal["none", "values", "graph"]
    """As for score."""
    updates: Annotated[list[CriticUpdate], Meta(max_length=16)]
    """As for step_critic."""
    terms: Annotated[list[Term], Meta(max_length=32)]
    """As for step_student."""
    diagnostics: bool
    """Some steps record them."""
    dropout: bool | UnsetType = UNSET
    """Adapters have dropout in the student's step; absent is false."""
    rollouts: Annotated[list[PlannedRollout], Meta(max_length=256)]
    """For batches and for evaluations."""
    kept_rows: Annotated[int, Meta(ge=0, le=9007199254740991)] | UnsetType = UNSET
    """Responses that are kept for later steps; absent is 0."""
    checkpoints: bool
    """Written while training goes on."""
    rehearse: bool
    """Go through a step and each rollout on tensors without numbers, which takes seconds, and through a small step in earnest, whose gradients are thrown away. Otherwise activations, logits and what libraries take are left out, and the prediction is a lower bound."""

class PredictMemoryResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of predict_memory."""

    phases: Annotated[list[MemoryPhase], Meta(max_length=512)]
    """In the order of a step."""
    peak_bytes: Annotated[int, Meta(ge=0)]
    """Of the phase with the largest sum; on a CPU above what the process had before models were loaded."""
    available_bytes: Annotated[int, Meta(ge=0)]
    """What the worker may have, with what it holds already."""
    missing: Annotated[str, Meta(max_length=4096)] | UnsetType = UNSET
    """Why the prediction is a lower bound, although it was to be rehearsed."""

class ReportMemoryArgs(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Memory and live handles."""

class ReportMemoryResult(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Result of report_memory."""

    resident_bytes: Annotated[int, Meta(ge=0)]
    """Of the process."""
    peak_resident_bytes: Annotated[int, Meta(ge=0)]
    """Largest so far."""
    device_bytes: Annotated[int, Meta(ge=0)]
    """Allocated on the accelerator; 0 on CPU."""
    peak_device_bytes: Annotated[int, Meta(ge=0)]
    """Largest so far."""
    handles: Annotated[list[HandleUsage], Meta(max_length=3)]
    """Per scope."""

@dataclass(frozen=True)
class Operation:
    """What the contract says of one operation."""

    mutating: bool
    args: type[Struct]
    result: type[Struct]


WorkerMessage = HelloMessage | ReplyMessage | PongMessage
ControllerMessage = WelcomeMessage | RefuseMessage | RequestMessage | CancelMessage | PingMessage | ByeMessage

OPERATIONS: Final[dict[str, Operation]] = {
    "configure": Operation(True, ConfigureArgs, ConfigureResult),
    "reset": Operation(True, ResetArgs, ResetResult),
    "compare_models": Operation(False, CompareModelsArgs, CompareModelsResult),
    "load_role": Operation(True, LoadRoleArgs, LoadRoleResult),
    "load_critic": Operation(True, LoadCriticArgs, LoadCriticResult),
    "register_data": Operation(True, RegisterDataArgs, RegisterDataResult),
    "generate": Operation(True, GenerateArgs, GenerateResult),
    "build": Operation(True, BuildArgs, BuildResult),
    "score": Operation(True, ScoreArgs, ScoreResult),
    "step_critic": Operation(True, StepCriticArgs, StepCriticResult),
    "step_student": Operation(True, StepStudentArgs, StepStudentResult),
    "end_step": Operation(True, EndStepArgs, EndStepResult),
    "evaluate": Operation(False, EvaluateArgs, EvaluateResult),
    "measure": Operation(False, MeasureArgs, MeasureResult),
    "fetch": Operation(False, FetchArgs, FetchResult),
    "drop": Operation(True, DropArgs, DropResult),
    "stage_checkpoint": Operation(True, StageCheckpointArgs, StageCheckpointResult),
    "commit_checkpoint": Operation(False, CommitCheckpointArgs, CommitCheckpointResult),
    "restore": Operation(True, RestoreArgs, RestoreResult),
    "export": Operation(False, ExportArgs, ExportResult),
    "import_data": Operation(True, ImportDataArgs, ImportDataResult),
    "preflight": Operation(False, PreflightArgs, PreflightResult),
    "predict_memory": Operation(False, PredictMemoryArgs, PredictMemoryResult),
    "report_memory": Operation(False, ReportMemoryArgs, ReportMemoryResult),
}
