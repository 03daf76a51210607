"""What models, critics and optimizers are made from."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ArchSpec:
    """Shape of a builtin model; names as in the Llama configuration.

    `builtin:t5` has so many layers on each side, no kv_heads apart from its heads, and no use for
    max_positions.
    """

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    intermediate_size: int
    max_positions: int
    tie_embeddings: bool = True


@dataclass(frozen=True)
class LoraSpec:
    """Low-rank adapters.

    Attributes:
        rank: r.
        alpha: updates are multiplied by alpha / r.
        dropout: on the adapters' inputs, in the student's step alone.
        targets: names of the layers that get one; empty is all linear layers but the head.
        seed: of the adapters' weights.
    """

    rank: int
    alpha: float
    dropout: float = 0.0
    targets: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class ModelSpec:
    """Where a model comes from and how its weights start.

    Attributes:
        source: `builtin:llama`, `builtin:t5`, a folder, a hub name, `gguf:PATH`, or
            `package:MODULE/FILE.gguf` (a file shipped in an installed Python package).
        init: weights as shipped, random by `seed`, or the subset `layers` of the source's layers with its
            embeddings, final norm and head kept.
        layers: 0-based layers of the source, in the order they get in the new model.
        arch: shape, for builtin models only.
        dtype: of the weights: float32, bfloat16 or float16.
        compute_dtype: dtype of matrix products (autocast) where it differs from the weights'.
        trust_remote_code: run code shipped with a hub model.
        gradient_checkpointing: recompute activations in backward.
        attention: implementation of attention; None is the library's choice.
        lora: adapters to train instead of the weights.
    """

    source: str
    init: Literal["pretrained", "random", "layers"] = "pretrained"
    layers: tuple[int, ...] = ()
    arch: ArchSpec | None = None
    seed: int = 0
    dtype: str = "float32"
    compute_dtype: str | None = None
    trust_remote_code: bool = False
    gradient_checkpointing: bool = False
    attention: str | None = None
    lora: LoraSpec | None = None


@dataclass(frozen=True)
class CriticSpec:
    """Shape of a critic `f(s, ·)` with one value per token.

    Attributes:
        head: name in the registry of critic heads.
        form: `free`, the head's numbers are the values before the bound; `ratio`, they are logits of a guess
            at the student, and the values follow from the teacher's ratio to it, see `Critic`; for `mixture`.
        features: whose last hidden state the critic sees.
        hidden_size: width of its MLP.
        rank: trained numbers per token that the bilinear and the policy's head have beside the frozen
            embedding; 0 is none.
        bound: `tanh` holds f in (−B, B); `mixture` and `student` clip f to [−B, B] where it is used and put
            the penalty `½ E_μ f²` into the critic's objective, with μ the mean of both policies or the
            student.
        bound_value: B. Under `mixture` the maximiser lies in [−2, 2], so 2 loses nothing.
        seed: of the weights.
        spectral_norm: keep the largest singular value of each trained weight matrix near 1.
        gradient_penalty: weight of the penalty on the gradient of a state's moment gap with respect to the
            normalised features; 0 is off (AdVIL: 10).
        gradient_penalty_target: gradient norm that the penalty pulls to (AdVIL: 0.4).
        target_decay: the student sees an average of the critic's weights that decays by this a turn, from the
            critic's first weights on; None: the critic itself. 0 is the critic too, 1 its first weights.
    """

    head: str = "bilinear"
    form: Literal["free", "ratio"] = "free"
    features: Literal["teacher", "student"] = "teacher"
    hidden_size: int = 256
    rank: int = 0
    bound: Literal["tanh", "mixture", "student"] = "tanh"
    bound_value: float = 1.0
    seed: int = 0
    spectral_norm: bool = False
    gradient_penalty: float = 0.0
    gradient_penalty_target: float = 0.4
    target_decay: float | None = None


@dataclass(frozen=True)
class OptimizerSpec:
    """AdamW; the learning rate comes with each step. Weight decay is decoupled (not on norms and biases).

    `optimistic`: each update is twice the present one minus the one before (Daskalakis et al. 2018). It
    steadies a game where momentum is low: on `min_x max_y xy` it converges with beta1 0, not with 0.9.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    optimistic: bool = False
