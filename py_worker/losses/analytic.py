"""Losses of a tile of positions together with their gradients in the student's logits, by formula.

Autograd through the plain forms keeps about ten tensors `[n, V]` alive. Here at most six are, and temporaries
are written over, so that a tile stays in the cache. `p` is the teacher, `q` the student, `τ` the temperature.
With `g = ∂D/∂q`, the gradient in the logits is `q·(g − Σ q·g)/τ`; what `g` has in common for all tokens drops
out (derived). A token that −inf forbids the student has no gradient, as in `divergence`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from py_worker.losses.alpha_beta import check_powers, difference, power
from py_worker.losses.divergence import (
    ALPHA,
    BETA,
    LOG_ZERO,
    DivergenceKind,
    check_parameters,
    check_temperature,
    log_probabilities,
)


class TileInputs(NamedTuple):
    """What belongs to the `n` positions of a tile, besides the logits.

    Attributes:
        upstream: [n], gradient of the final scalar in each loss.
        values: [n, V] of a critic, or None. Not written to.
        tokens: [n] int64, whose log-probabilities are wanted, or None.
        token_upstream: [n], gradient of the final scalar in each log-probability; None is 0.
    """

    upstream: Tensor
    values: Tensor | None = None
    tokens: Tensor | None = None
    token_upstream: Tensor | None = None


class TileResult(NamedTuple):
    """Loss `[n]`, `log π_θ` of the tokens `[n]` or None, and the gradient `[n, V]` in student's logits."""

    loss: Tensor
    log_prob: Tensor | None
    gradient: Tensor


class TileLoss(Protocol):
    """A loss of logits `[n, V]` of student and teacher, in the precision that they have, left as they are.

    The teacher is None where the step has none; a loss that needs one raises ValueError then.
    """

    def __call__(self, student: Tensor, teacher: Tensor | None, inputs: TileInputs, /) -> TileResult: ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class DivergenceLoss:
    """`divergence(kind, …)`, which explains the attributes.

    Raises:
        LossError: unknown kind, beta or alpha outside [0, 1], temperature ≤ 0.
    """

    kind: DivergenceKind
    beta: float = BETA
    alpha: float = ALPHA
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_parameters(self.kind, self.beta, self.alpha, self.temperature)

    def __call__(self, student: Tensor, teacher: Tensor | None, inputs: TileInputs) -> TileResult:
        log_p = log_probabilities(_given(teacher, "a teacher's logits"), self.temperature)
        log_q = log_probabilities(student, self.temperature)
        loss, gradient = _KINDS[self.kind](log_p, log_q, self.beta, self.alpha)
        gradient.mul_((inputs.upstream / self.temperature)[:, None])
        return TileResult(loss, None, gradient)


@dataclass(frozen=True)
class AlphaBetaLoss:
    """`alpha_beta_divergence(…)`, which explains the attributes.

    Its slope `−(p^α q^β − q^s)/α` in `log q` sums to `S` over the allowed tokens, and the gradient in the
    logits is `slope − q·S` (derived), over τ.

    Raises:
        LossError: α, β or α+β of 0, temperature ≤ 0.
    """

    alpha: float
    beta: float
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_powers(self.alpha, self.beta)
        check_temperature(self.temperature)

    def __call__(self, student: Tensor, teacher: Tensor | None, inputs: TileInputs) -> TileResult:
        alpha, beta, tau = self.alpha, self.beta, self.temperature
        log_p = log_probabilities(_given(teacher, "a teacher's logits"), tau)
        loss, gradient = _alpha_beta(log_p, log_probabilities(student, tau), alpha, beta)
        gradient.mul_((inputs.upstream / (tau * alpha))[:, None])
        return TileResult(loss, None, gradient)


def moment_loss(student: Tensor, teacher: Tensor | None, inputs: TileInputs) -> TileResult:
    """`Δ_f = Σ (p − q)·f` of constant values, and `log q` of the tokens where they are given.

    The gradients are `−q·(f − E_q f)` and `1[y] − q` (derived). `log q` of a token comes from the largest
    logit and the largest probability, which spares a log-softmax; it is at least `LOG_ZERO`.
    """
    values = _given(inputs.values, "a critic's values").to(student.dtype)
    p, q = _given(teacher, "a teacher's logits").softmax(-1), student.softmax(-1)
    gap = _dot(p.sub_(q), values)
    return TileResult(gap.squeeze(1), *_moment_gradient(student, q, values, inputs))


def moment_gradient(student: Tensor, _teacher: Tensor | None, inputs: TileInputs) -> TileResult:
    """What `moment_loss` gives but for the gap, which is 0 here: that alone needs the teacher."""
    values = _given(inputs.values, "a critic's values").to(student.dtype)
    nothing = student.new_zeros(len(student))
    return TileResult(nothing, *_moment_gradient(student, student.softmax(-1), values, inputs))


def _moment_gradient(
    student: Tensor, q: Tensor, values: Tensor, inputs: TileInputs
) -> tuple[Tensor | None, Tensor]:
    """`log q` of the tokens, and the gradient of gap and `log q`."""
    gradient = torch.sub(_dot(q, values), values).mul_(inputs.upstream[:, None])
    if inputs.tokens is None:
        return None, gradient.mul_(q)
    token, log_prob = _token_log_prob(student, q, inputs.tokens)
    if inputs.token_upstream is None:
        return log_prob.squeeze(1), gradient.mul_(q)
    upstream = inputs.token_upstream[:, None] * (log_prob > LOG_ZERO)
    return log_prob.squeeze(1), gradient.sub_(upstream).mul_(q).scatter_add_(1, token, upstream)


def mixture_moment_loss(student: Tensor, teacher: Tensor | None, inputs: TileInputs) -> TileResult:
    """`Δ_f` with the best critic under the penalty with the mixture, `f = (p − q)/½(p + q)`, held constant.

    The gradient is `−q·(f − E_q f)`, as of any constant values.
    """
    p, q = _given(teacher, "a teacher's logits").softmax(-1), student.softmax(-1)
    difference = p - q
    values = difference / _clamped(p.add_(q).mul_(0.5))
    gap = _dot(difference, values).squeeze(1)
    gradient = torch.sub(_dot(q, values), values, out=difference)
    return TileResult(gap, None, gradient.mul_(inputs.upstream[:, None]).mul_(q))


def cross_entropy_loss(student: Tensor, _teacher: Tensor | None, inputs: TileInputs) -> TileResult:
    """`−log q` of the tokens, with the gradient `q − 1[y]`."""
    q = student.softmax(-1)
    token, log_prob = _token_log_prob(student, q, _given(inputs.tokens, "tokens"))
    upstream = inputs.upstream[:, None] * (log_prob > LOG_ZERO)
    return TileResult(-log_prob.squeeze(1), None, q.mul_(upstream).scatter_add_(1, token, -upstream))


def _token_log_prob(student: Tensor, q: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The tokens and their `log q`, `[n, 1]` both."""
    token = tokens[:, None]
    log_normaliser = student.amax(-1, keepdim=True) - q.amax(-1, keepdim=True).log()
    return token, (student.gather(1, token) - log_normaliser).clamp(min=LOG_ZERO)


def _given(tensor: Tensor | None, what: str) -> Tensor:
    if tensor is None:
        raise ValueError(f"this loss needs {what}")
    return tensor


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


# Each of the following takes log-probabilities [n, V], which it writes over, and gives the loss [n] and the
# gradient [n, V] in the student's. Probabilities of mixtures are clamped at the smallest normal number: where
# that is felt both parts have underflowed, and whatever the logarithm is counts 0 times.

_Pair = tuple[Tensor, Tensor]


def _forward_kl(log_p: Tensor, log_q: Tensor) -> _Pair:
    p, q = log_p.exp(), log_q.exp()
    loss = _dot(p, log_p.sub_(log_q)).squeeze(1)
    p.mul_(log_q.gt_(LOG_ZERO))  # in place it gives 0 or 1: forbidden tokens have no gradient
    return loss, q.mul_(p.sum(-1, keepdim=True)).sub_(p)


def _reverse_kl(log_p: Tensor, log_q: Tensor) -> _Pair:
    q = log_q.exp()
    ratio = log_q.sub_(log_p)
    loss = _dot(q, ratio)
    return loss.squeeze(1), ratio.sub_(loss).mul_(q)


def _jsd(log_p: Tensor, log_q: Tensor, beta: float) -> _Pair:
    if beta <= 0.0:
        return _forward_kl(log_p, log_q)
    if beta >= 1.0:
        return _reverse_kl(log_p, log_q)
    p, q = log_p.exp(), log_q.exp()
    log_m = _clamped(torch.lerp(q, p, beta)).log_()
    of_teacher = _dot(p, log_p.sub_(log_m))
    of_student = _dot(q, log_q.sub_(log_m))
    loss = beta * of_teacher + (1.0 - beta) * of_student
    return loss.squeeze(1), log_q.sub_(of_student).mul_(q).mul_(1.0 - beta)


def _tvd(log_p: Tensor, log_q: Tensor) -> _Pair:
    q = log_q.exp_()
    difference = log_p.exp_().sub_(q)
    loss = 0.5 * difference.abs().sum(-1)
    sign = difference.sign_()
    return loss, sign.sub_(_dot(q, sign)).mul_(q).mul_(-0.5)


def _skew_forward_kl(log_p: Tensor, log_q: Tensor, alpha: float) -> _Pair:
    if alpha <= 0.0:
        return _forward_kl(log_p, log_q)
    if alpha >= 1.0:
        return _nothing(log_q)
    p, q = log_p.exp(), log_q.exp()
    m = _clamped(torch.lerp(q, p, alpha))
    share = torch.div(q, m, out=log_q).mul_(1.0 - alpha).mul_(p)  # −∂D/∂log q
    loss = _dot(p, log_p.sub_(m.log_())).squeeze(1)
    return loss, q.mul_(share.sum(-1, keepdim=True)).sub_(share)


def _skew_reverse_kl(log_p: Tensor, log_q: Tensor, alpha: float) -> _Pair:
    if alpha <= 0.0:
        return _reverse_kl(log_p, log_q)
    if alpha >= 1.0:
        return _nothing(log_q)
    p, q = log_p.exp_(), log_q.exp()
    m = _clamped(torch.lerp(p, q, alpha))
    share = torch.div(q, m, out=p).mul_(alpha)
    ratio = log_q.sub_(m.log_())
    loss = _dot(q, ratio).squeeze(1)
    slope = ratio.sub_(share)
    return loss, slope.sub_(_dot(q, slope)).mul_(q)


def _alpha_beta(log_p: Tensor, log_q: Tensor, alpha: float, beta: float) -> _Pair:
    """The gradient is still to be divided by α. The steps are those of `alpha_beta_divergence`."""
    total, q, ratio = alpha + beta, log_q.exp(), log_p - log_q
    mixed = power(torch.mul(log_p, alpha).add_(log_q, alpha=beta))
    over_p = difference(mixed, log_p.mul_(total), ratio * (-0.5 * beta))
    over_q = difference(mixed, log_q * total, ratio.mul_(0.5 * alpha))
    # Token by token first: the two nearly cancel where the policies are close.
    loss = over_p.add_(over_q, alpha=beta / alpha).sum(-1) / (-beta * total)
    # q may underflow where a power of it does not, so it cannot tell which tokens are forbidden.
    over_q.mul_(log_q.gt_(LOG_ZERO))
    return loss, q.mul_(over_q.sum(-1, keepdim=True)).sub_(over_q)


def _clamped(mixture: Tensor) -> Tensor:
    return mixture.clamp_(min=torch.finfo(mixture.dtype).tiny)


def _nothing(log_q: Tensor) -> _Pair:
    """A mixture that is the policy itself: no divergence, no gradient."""
    return log_q.new_zeros(log_q.shape[0]), log_q.zero_()


_KINDS: dict[str, Callable[[Tensor, Tensor, float, float], _Pair]] = {
    "forward_kl": lambda p, q, _beta, _alpha: _forward_kl(p, q),
    "reverse_kl": lambda p, q, _beta, _alpha: _reverse_kl(p, q),
    "jsd": lambda p, q, beta, _alpha: _jsd(p, q, beta),
    "tvd": lambda p, q, _beta, _alpha: _tvd(p, q),
    "skew_forward_kl": lambda p, q, _beta, alpha: _skew_forward_kl(p, q, alpha),
    "skew_reverse_kl": lambda p, q, _beta, alpha: _skew_reverse_kl(p, q, alpha),
}
