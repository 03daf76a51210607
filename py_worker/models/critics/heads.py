"""What a critic's values come from: heads `[N, H] → [N, V]` on a frozen model's last hidden states."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from py_worker.models.critics.table_product import table_product
from py_worker.models.head import OutputHead
from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec

INITIAL_SCALE = 0.1
"""Standard deviation of what the head gives at the start: near 0, so that the first steps with a free critic
are small, and not 0, so that every layer has a gradient."""


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
        self.coded = _codes(hidden, rank, tokens, INITIAL_SCALE, generator)
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
        return _add_codes(values, middle, self.coded)


class PolicyHead(nn.Module):
    """Logits of the policy's own output head at a corrected state, `W (h + q(h̄)/(ρ√d)) + C r(h̄) + b`.

    For critics in the form `ratio`. `W` is the head as it was when the critic was made, frozen, in the dtype
    of the policy's products; its scale, bias and soft-cap are around all of that, and what is added is
    divided by that scale, so that it learns as fast at any. ρ is the root mean square of `W`; `h̄` the
    normalised state; `q`, `r` and the codes `C` are as in `BilinearHead`, and 0 at the start.

    So the guess at the student begins as the policy itself (our choice). From the student's states it is
    right at the start, and nearly so later, for they move with the student: to be learned is how far its
    head has moved from `W`. With 49,152 tokens such a critic had 0.99 of its objective for 100 turns, where
    others had 0 to 0.7 (LOG.md, 2026-11-26). From the teacher's states the guess begins as the teacher,
    and all values at 0.
    """

    table: Tensor
    offset: Tensor | None
    step: Tensor

    def __init__(
        self,
        head: OutputHead,
        hidden: int,
        rank: int,
        generator: torch.Generator,
        *,
        owned: bool,
        dtype: torch.dtype | None = None,
    ):
        """`owned` copies the table and saves it with the critic; `dtype` is that of products, if another."""
        super().__init__()
        rows, bias = head.rows.detach(), head.bias
        tokens, size = rows.shape
        self.inner = _linear(size, hidden, 1.0, generator)
        self.outer = _linear(hidden, size, 0.0, generator)
        self.coded = _codes(hidden, rank, tokens, 0.0, generator)
        self.bias = nn.Parameter(torch.zeros(tokens))
        self._scale, self._soft_cap = head.scale, head.soft_cap
        wide = torch.promote_types(rows.dtype, torch.float32)
        square = torch.linalg.vector_norm(rows, dtype=wide).square() / rows.numel()
        offset = None if bias is None else bias.detach()[:tokens]
        table = rows if dtype is None else rows.to(dtype)
        self.register_buffer("table", table.clone() if owned and table is rows else table, persistent=owned)
        self.register_buffer(
            "offset", offset if offset is None or not owned else offset.clone(), persistent=owned
        )
        self.register_buffer("step", square.clamp(min=1e-12).rsqrt() / size**0.5, persistent=owned)

    def forward(self, states: Tensor) -> Tensor:
        middle = F.gelu(self.inner(F.layer_norm(states, states.shape[-1:])))
        unscaled = 1.0 / self._scale
        values = table_product(states + self.outer(middle) * (self.step * unscaled), self.table)
        values = _add_codes(values.add_(self.bias, alpha=unscaled), middle, self.coded, unscaled)
        own = OutputHead(self.table, self.offset, len(self.table), self._scale, self._soft_cap)
        return own.finish(values)


def _codes(
    hidden: int, rank: int, tokens: int, scale: float, generator: torch.Generator
) -> nn.Sequential | None:
    """`rank` numbers read from the middle `[N, hidden]`, and as many trained ones for each token."""
    if rank == 0:
        return None
    read = _linear(hidden, rank, 1.0, generator)
    return nn.Sequential(read, _linear(rank, tokens, scale, generator, bias=False))


def _add_codes(values: Tensor, middle: Tensor, coded: nn.Sequential | None, factor: float = 1.0) -> Tensor:
    """Adds in place: each further tensor `[N, V]` costs about as much as the arithmetic on it."""
    if coded is None:
        return values
    read, codes = cast(tuple[nn.Linear, nn.Linear], tuple(coded))
    return values.addmm_(read(middle), codes.weight.t(), alpha=factor)


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
    owned = _moves(policy, spec)
    table = table.clone() if owned else table
    return BilinearHead(table, spec.hidden_size, spec.rank, generator, owned=owned)


def _policy(policy: Policy, spec: CriticSpec, generator: torch.Generator) -> nn.Module:
    dtype = policy.compute_dtype
    owned = _moves(policy, spec)
    return PolicyHead(policy.head, spec.hidden_size, spec.rank, generator, owned=owned, dtype=dtype)


def _moves(policy: Policy, spec: CriticSpec) -> bool:
    """Whether the table is trained, so that the critic has to keep the one it starts with.

    A teacher's is not, nor that of a student whose adapters are.
    """
    return spec.features == "student" and policy.head.weight.requires_grad


def _linear_head(policy: Policy, _spec: CriticSpec, generator: torch.Generator) -> nn.Module:
    return _linear(policy.hidden_size, policy.vocab_size, INITIAL_SCALE, generator)


def _mlp_head(policy: Policy, spec: CriticSpec, generator: torch.Generator) -> nn.Module:
    inner = _linear(policy.hidden_size, spec.hidden_size, 1.0, generator)
    return nn.Sequential(
        inner, nn.GELU(), _linear(spec.hidden_size, policy.vocab_size, INITIAL_SCALE, generator)
    )


HeadBuilder = Callable[[Policy, CriticSpec, torch.Generator], nn.Module]

CRITIC_HEADS: dict[str, HeadBuilder] = {
    "bilinear": _bilinear,
    "linear": _linear_head,
    "mlp": _mlp_head,
    "policy": _policy,
}
