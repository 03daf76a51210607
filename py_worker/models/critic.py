"""Critics `f(s, ·)`: one bounded value per token, from a frozen model's last hidden state.

That there are two critics with values per state and token is the paper's; that a penalty's maximiser is
`(π* − π_θ)/μ` is derived; everything else here is our choice. The default head has no `hidden × V` matrix of
its own: `f(s, y) = B · tanh(q(h_s) · e_y / √d + b_y)`.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec

INITIAL_SCALE = 0.1
"""Standard deviation of the pre-bound values at the start: near 0, so that the first steps are small, and not
0, so that every layer has a gradient."""


class Critic(nn.Module):
    """A value per state and token, held in `[−B, B]` as the specification says.

    Attributes:
        spec: its shape.
    """

    def __init__(self, head: nn.Module, spec: CriticSpec):
        super().__init__()
        self.spec = spec
        self.head = head

    def raw(self, features: Tensor) -> Tensor:
        """Values before the bound: features `[N, H]` (their gradient is stopped) to float32 `[N, V]`."""
        own = next(self.parameters()).dtype
        values: Tensor = self.head(F.layer_norm(features.detach().to(own), features.shape[-1:]))
        return values

    def bounded(self, raw: Tensor) -> Tensor:
        """`B · tanh(raw)`, or `raw` clipped to `[−B, B]` where a penalty is what holds it."""
        bound = self.spec.bound_value
        return bound * raw.tanh() if self.spec.bound == "tanh" else raw.clamp(-bound, bound)

    def values(self, features: Tensor) -> Tensor:
        """`f(s, ·)` `[N, V]` in `[−B, B]`, float32, for features `[N, H]`."""
        return self.bounded(self.raw(features))


class BilinearHead(nn.Module):
    """`q(h) · ê_y / √d + b_y`, with `q` a two-layer perceptron.

    `ê_y` is the frozen output embedding, centred and divided by one root mean square over the whole table, so
    that its scale in the model does not matter while the relative lengths of its rows stay. Centring takes
    the same value from every token of a state, which no moment gap can see. The table is neither copied nor
    changed: mean and scale are applied on the side of `q`.
    """

    embedding: Tensor
    center: Tensor
    scale: Tensor

    def __init__(self, embedding: Tensor, hidden: int, generator: torch.Generator, *, owned: bool):
        """`embedding [V, H]`; `owned` saves it with the critic, for a table that changes in its model."""
        super().__init__()
        tokens, size = embedding.shape
        self.inner = _linear(size, hidden, 1.0, generator)
        self.outer = _linear(hidden, size, INITIAL_SCALE, generator)
        self.bias = nn.Parameter(torch.zeros(tokens))
        wide = torch.promote_types(embedding.dtype, torch.float32)
        center = embedding.mean(0, dtype=wide)
        square = torch.linalg.vector_norm(embedding, dtype=wide).square() / embedding.numel()
        self.register_buffer("embedding", embedding, persistent=owned)
        self.register_buffer("center", center, persistent=owned)
        variance = square - center.square().mean()
        self.register_buffer("scale", variance.clamp(min=1e-12).rsqrt(), persistent=owned)

    def forward(self, features: Tensor) -> Tensor:
        query = self.outer(F.gelu(self.inner(features)))
        scaled = query * (self.scale / features.shape[-1] ** 0.5)
        values = F.linear(scaled.to(self.embedding.dtype), self.embedding).to(scaled.dtype)
        offset: Tensor = self.bias - (scaled @ self.center)[:, None]
        return values + offset


def _linear(inputs: int, outputs: int, scale: float, generator: torch.Generator) -> nn.Linear:
    """A linear map whose outputs have standard deviation `scale` for inputs of unit variance."""
    # Not initialised by the constructor, which draws from the global random state.
    layer: nn.Linear = skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        layer.weight.normal_(0.0, scale / inputs**0.5, generator=generator)
        layer.bias.zero_()
    return layer


def _bilinear(policy: Policy, spec: CriticSpec, generator: torch.Generator) -> nn.Module:
    table = policy.head.weight.detach()[: policy.vocab_size]
    owned = spec.features == "student"
    # A student's table moves: the critic keeps the one it started with.
    table = table.clone() if owned else table
    return BilinearHead(table, spec.hidden_size, generator, owned=owned)


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

    Raises:
        ValueError: unknown head, or a bound that is not positive.
    """
    if spec.head not in CRITIC_HEADS:
        raise ValueError(f"unknown critic head {spec.head!r}: use one of {', '.join(sorted(CRITIC_HEADS))}")
    if not spec.bound_value > 0.0:
        raise ValueError(f"a critic's bound_value must be positive, not {spec.bound_value}")
    generator = torch.Generator().manual_seed(spec.seed)
    return Critic(CRITIC_HEADS[spec.head](policy, spec, generator), spec).to(policy.device)
