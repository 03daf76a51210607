"""Critics `f(s, ·)`: one bounded value per token, from a frozen model's last hidden state.

That there are two critics with values per state and token is the paper's; that a penalty's maximiser is
`(π* − π_θ)/μ` is derived; everything else here is our choice. The default head has no `hidden × V` matrix of
its own: `f(s, y) = B · tanh(q(h_s) · e_y / √d + r(h_s) · c_y + b_y)`, with a few trained numbers `c_y` for
each token.
"""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec
from py_worker.models.spectral_norm import advance_spectra, normalize_spectra
from py_worker.models.table_product import table_product

INITIAL_SCALE = 0.1
"""Standard deviation of what the head gives at the start: near 0, so that the first steps with a free critic
are small, and not 0, so that every layer has a gradient."""


class Critic(nn.Module):
    """A value per state and token, held in `[−B, B]` as the specification says.

    What the head gives `[N, V]` are the values `f` before the bound, in the form `free`. In the form `ratio`
    they are logits of a guess `q̂(·|s)` at the student, and

        f(s, y) = 2 · tanh(½ log(π*(y|s) / q̂(y|s)))

    Where the guess is right this is `(π* − π_θ) / ½(π* + π_θ)`, the maximiser under the bound `mixture`
    (derived): all that such a critic has to learn is the student. Our choice; a free one has to learn the
    teacher too, and with 49,152 tokens and 300 states a turn it reached 0.2 of its objective after 60 turns,
    where this one reached 0.8. The student was at rest; one that learns outran it (LOG.md, 2026-11-26). It
    begins with a guess of nothing, so with values far from 0 that are wrong: the first turns should be its
    own (`warmup_steps`).

    Attributes:
        spec: its shape.
    """

    def __init__(self, head: nn.Module, spec: CriticSpec):
        super().__init__()
        self.spec = spec
        self.head = head

    def inputs(self, features: Tensor) -> Tensor:
        """What the head sees of features `[N, H]`: mean 0, variance 1, no gradient back to the features."""
        own = next(self.parameters()).dtype
        return F.layer_norm(features.detach().to(own), features.shape[-1:])

    def raw(self, features: Tensor) -> Tensor:
        """What the head gives: features `[N, H]` (their gradient is stopped) to float32 `[N, V]`."""
        values: Tensor = self.head(self.inputs(features))
        return values

    def unbounded(self, raw: Tensor, teacher_logits: Tensor | None) -> Tensor:
        """Values before the bound, `[N, V]`, of what the head gave; differentiable in that.

        Args:
            raw: [N, V] of the head.
            teacher_logits: [N, V] of `π*` at the same states; only the form `ratio` needs them.

        Raises:
            ValueError: the form `ratio` without them.
        """
        if self.spec.form == "free":
            return raw
        if teacher_logits is None:
            raise ValueError("the values of a critic in the form ratio need the teacher's logits")
        # Of log-softmaxes only the normalisers: two passes over [N, V] fewer.
        shift = raw.logsumexp(-1, keepdim=True) - teacher_logits.logsumexp(-1, keepdim=True)
        return (teacher_logits - raw + shift).mul_(0.5).tanh().mul(2.0)

    def bounded(self, values: Tensor) -> Tensor:
        """`B · tanh(values)`, or `values` clipped to `[−B, B]` where a penalty is what holds them."""
        bound = self.spec.bound_value
        return bound * values.tanh() if self.spec.bound == "tanh" else values.clamp(-bound, bound)

    def values_of(self, raw: Tensor, teacher_logits: Tensor | None) -> Tensor:
        """`f(s, ·)` `[N, V]` in `[−B, B]` of what the head gave; see `unbounded`."""
        return self.bounded(self.unbounded(raw, teacher_logits))

    def values(self, features: Tensor, teacher_logits: Tensor | None = None) -> Tensor:
        """`f(s, ·)` `[N, V]` in `[−B, B]`, float32, for features `[N, H]`; see `unbounded`."""
        return self.values_of(self.raw(features), teacher_logits)

    def slope_in_raw(self, slope: Tensor, raw: Tensor, values: Tensor) -> Tensor:
        """A gradient `[n, V]` in the values before the bound, as one in what the head gave; may overwrite it.

        In the form `ratio` it is `q̂ Σu − u` with `u = s · (1 − f²/4)`, for `∂f/∂ log q̂ = f²/4 − 1` (derived).
        """
        if self.spec.form == "free":
            return slope
        slope = slope.mul_(1.0 - 0.25 * values.square())
        return raw.softmax(-1).mul_(slope.sum(-1, keepdim=True)).sub_(slope)

    def follow_update(self, applied: Tensor) -> None:
        """Brings the spectral norms up to the weights, once after each update of them.

        Args:
            applied: device scalar, 0 where the update was skipped: then nothing changes.
        """
        advance_spectra(self.head, applied)

    @torch.no_grad()
    def average_in(self, other: "Critic", decay: float, applied: Tensor) -> None:
        """Moves the weights to `decay · own + (1 − decay) · other`, if the device scalar `applied` is 1."""
        for own, new in zip(self.parameters(), other.parameters(), strict=True):
            own.lerp_(new, (1.0 - decay) * applied.to(own.dtype))
        self.follow_update(applied)


class BilinearHead(nn.Module):
    """`q(h) · ê_y / √d + r(h) · c_y + b_y`: `q` a two-layer perceptron, `r` a linear map of its middle.

    `ê_y` is the frozen output embedding, centred and divided by one root mean square over the whole table, so
    that its scale in the model does not matter while the relative lengths of its rows stay. Centring takes
    the same value from every token of a state, which no moment gap can see. The table is neither copied nor
    changed: mean and scale are applied on the side of `q`.

    The codes `c_y` `[V, k]` are trained. The table alone barely separates some of the tokens that the student
    confuses: on the built-in tasks the critic then reached 0.33 and 0.46 of its objective, 0.61 and 0.71 with
    k = 16, and 0.63 and 0.72 with a matrix of its own for every token (our choice).

    Under spectral norm both layers of `q` have largest singular value 1 and the table, frozen, stays as it
    is. With gelu's slope of at most 1.13, `f(·, y)` before the bound is then Lipschitz in the normalised
    features with `1.13 · ‖ê_y‖/√d`: 1.13 in the root mean square over tokens, more for tokens with a long
    embedding, and the codes, normalised as one matrix, add at most 1.13 (derived). Its size is not bounded by
    that: `b_y` and the layers' biases are free.
    """

    embedding: Tensor
    center: Tensor
    scale: Tensor

    def __init__(self, embedding: Tensor, hidden: int, rank: int, generator: torch.Generator, *, owned: bool):
        """`embedding [V, H]`; `owned` saves it with the critic, for a table that changes in its model."""
        super().__init__()
        tokens, size = embedding.shape
        self.inner = _linear(size, hidden, 1.0, generator)
        self.outer = _linear(hidden, size, INITIAL_SCALE, generator)
        self.coded: nn.Sequential | None = None
        if rank > 0:
            read = _linear(hidden, rank, 1.0, generator)
            self.coded = nn.Sequential(read, _linear(rank, tokens, INITIAL_SCALE, generator, bias=False))
        self.bias = nn.Parameter(torch.zeros(tokens))
        wide = torch.promote_types(embedding.dtype, torch.float32)
        center = embedding.mean(0, dtype=wide)
        square = torch.linalg.vector_norm(embedding, dtype=wide).square() / embedding.numel()
        self.register_buffer("embedding", embedding, persistent=owned)
        self.register_buffer("center", center, persistent=owned)
        variance = square - center.square().mean()
        self.register_buffer("scale", variance.clamp(min=1e-12).rsqrt(), persistent=owned)

    def forward(self, features: Tensor) -> Tensor:
        middle = F.gelu(self.inner(features))
        query = self.outer(middle)
        scaled = query * (self.scale / features.shape[-1] ** 0.5)
        values = table_product(scaled, self.embedding)
        # In place: each further tensor [N, V] costs about as much as the arithmetic on it.
        values = values.add_(self.bias).sub_((scaled @ self.center)[:, None])
        if self.coded is None:
            return values
        read, codes = cast(tuple[nn.Linear, nn.Linear], tuple(self.coded))
        return values.addmm_(read(middle), codes.weight.t())


def _linear(
    inputs: int, outputs: int, scale: float, generator: torch.Generator, *, bias: bool = True
) -> nn.Linear:
    """A linear map whose outputs have standard deviation `scale` for inputs of unit variance."""
    # Not initialised by the constructor, which draws from the global random state.
    layer: nn.Linear = skip_init(nn.Linear, inputs, outputs, bias=bias)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        layer.weight.normal_(0.0, scale / inputs**0.5, generator=generator)
        if bias:
            layer.bias.zero_()
    return layer


def _bilinear(policy: Policy, spec: CriticSpec, generator: torch.Generator) -> nn.Module:
    table = policy.head.weight.detach()[: policy.vocab_size]
    owned = spec.features == "student"
    # A student's table moves: the critic keeps the one it started with.
    table = table.clone() if owned else table
    return BilinearHead(table, spec.hidden_size, spec.rank, generator, owned=owned)


def _linear_head(policy: Policy, _spec: CriticSpec, generator: torch.Generator) -> nn.Module:
    return _linear(policy.hidden_size, policy.vocab_size, INITIAL_SCALE, generator)


def _mlp_head(policy: Policy, spec: CriticSpec, generator: torch.Generator) -> nn.Module:
    inner = _linear(policy.hidden_size, spec.hidden_size, 1.0, generator)
    return nn.Sequential(
        inner, nn.GELU(), _linear(spec.hidden_size, policy.vocab_size, INITIAL_SCALE, generator)
    )


HeadBuilder = Callable[[Policy, CriticSpec, torch.Generator], nn.Module]

CRITIC_HEADS: dict[str, HeadBuilder] = {"bilinear": _bilinear, "linear": _linear_head, "mlp": _mlp_head}


def build_critic(spec: CriticSpec, policy: Policy) -> Critic:
    """A critic on the last hidden states of `policy` (the one that `spec.features` names), on its device.

    Two built from the same are equal bit for bit.

    Raises:
        ValueError: unknown head, or a number out of its range.
    """
    if spec.head not in CRITIC_HEADS:
        raise ValueError(f"unknown critic head {spec.head!r}: use one of {', '.join(sorted(CRITIC_HEADS))}")
    _check_numbers(spec)
    if spec.form == "ratio" and spec.bound != "mixture":
        raise ValueError(
            f"a critic in the form ratio is made for the bound mixture, not {spec.bound}: use that, or free"
        )
    generator = torch.Generator().manual_seed(spec.seed)
    head = CRITIC_HEADS[spec.head](policy, spec, generator)
    if spec.spectral_norm:
        normalize_spectra(head, generator)
    return Critic(head, spec).to(policy.device)


def _check_numbers(spec: CriticSpec) -> None:
    if not spec.bound_value > 0.0:
        raise ValueError(f"a critic's bound_value must be positive, not {spec.bound_value}")
    for name in ("gradient_penalty", "gradient_penalty_target"):
        if not getattr(spec, name) >= 0.0:
            raise ValueError(f"a critic's {name} must not be negative: {getattr(spec, name)}")
    if spec.target_decay is not None and not 0.0 <= spec.target_decay <= 1.0:
        raise ValueError(f"a critic's target_decay must lie in [0, 1], not {spec.target_decay}")
