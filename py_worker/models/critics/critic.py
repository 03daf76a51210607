"""Critics `f(s, ·)`: one bounded value per token, from a frozen model's last hidden state.

That there are two critics with values per state and token is the paper's; that a penalty's maximiser is
`(π* − π_θ)/μ` is derived; everything else here is our choice. The default head has no `hidden × V` matrix of
its own: `f(s, y) = B · tanh(q(h_s) · e_y / √d + r(h_s) · c_y + b_y)`, with a few trained numbers `c_y` for
each token. Here `h_s` is layer-normalised (`Critic.inputs`) and `e_y` the teacher's output embedding, centred
and scaled (`BilinearHead`), so that a fresh critic sees states and tokens of one size with any teacher.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from py_worker.models.critics.heads import CRITIC_HEADS, PolicyHead
from py_worker.models.critics.spectral_norm import advance_spectra, normalize_spectra
from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec


class Critic(nn.Module):
    """A value per state and token, held in `[−B, B]` as the specification says.

    What the head gives `[N, V]` are the values `f` before the bound, in the form `free`. In the form `ratio`
    they are logits of a guess `q̂(·|s)` at the student, and

        f(s, y) = 2 · tanh(½ log(π*(y|s) / q̂(y|s)))

    Where the guess is right this is `(π* − π_θ) / ½(π* + π_θ)`, the maximiser under the bound `mixture`
    (derived): all that such a critic has to learn is the student. Our choice; a free one has to learn the
    teacher too, and with 49,152 tokens and 300 states a turn it reached 0.2 of its objective after 60 turns,
    where this one reached 0.8. The student was at rest; one that learns outran it (LOG.md, 2026-11-26), but
    for the head `policy`, which begins with the right guess. Other heads begin with a guess of nothing, so
    with values far from 0 that are wrong: the first turns should be theirs (`warmup_steps`).

    Attributes:
        spec: its shape.
    """

    def __init__(self, head: nn.Module, spec: CriticSpec):
        super().__init__()
        self.spec = spec
        self.head = head

    def inputs(self, features: Tensor) -> Tensor:
        """What the head sees of features `[N, H]`: mean 0, variance 1, no gradient back to the features.

        A policy's own head sees them as they are.
        """
        own = next(self.parameters()).dtype
        seen = features.detach().to(own)
        return seen if isinstance(self.head, PolicyHead) else F.layer_norm(seen, features.shape[-1:])

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
    if spec.head == "policy":
        _check_policy_head(spec)
    generator = torch.Generator().manual_seed(spec.seed)
    head = CRITIC_HEADS[spec.head](policy, spec, generator)
    if spec.spectral_norm:
        normalize_spectra(head, generator)
    return Critic(head, spec).to(policy.device)


def _check_policy_head(spec: CriticSpec) -> None:
    """It gives logits of a guess, from states as they are, and begins with weights of 0."""
    if spec.form != "ratio":
        raise ValueError("the critic head policy gives a guess at the student: take the form ratio")
    if spec.spectral_norm or spec.gradient_penalty > 0.0:
        raise ValueError("the critic head policy takes no spectral_norm and no gradient_penalty")


def _check_numbers(spec: CriticSpec) -> None:
    if not spec.bound_value > 0.0:
        raise ValueError(f"a critic's bound_value must be positive, not {spec.bound_value}")
    for name in ("gradient_penalty", "gradient_penalty_target"):
        if not getattr(spec, name) >= 0.0:
            raise ValueError(f"a critic's {name} must not be negative: {getattr(spec, name)}")
    if spec.target_decay is not None and not 0.0 <= spec.target_decay <= 1.0:
        raise ValueError(f"a critic's target_decay must lie in [0, 1], not {spec.target_decay}")
