"""Divergences between the teacher's and the student's next-token distributions.

`p` is the teacher, `q` the student. Everything is computed from log-probabilities, in float32 or in the
inputs' own precision if that is higher, and nothing is reduced over positions.
"""

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from py_worker.losses.errors import LossError

DivergenceKind = Literal["forward_kl", "reverse_kl", "jsd", "tvd", "skew_forward_kl", "skew_reverse_kl"]

LOG_ZERO = -1e6
"""What log 0 counts as. exp(-1e6) is 0 even in float64, so a forbidden token has no probability; a
divergence that is infinite by definition comes out as a large number with finite gradients."""

BETA, ALPHA = 0.5, 0.1
"""Unless given: the teacher's weight in the mixture of `jsd`, and the skew (DistiLLM's)."""


def log_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-softmax of `logits [..., V] / temperature` in at least float32, with `LOG_ZERO` for log 0."""
    scaled = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if temperature != 1.0:  # a pass over everything
        scaled = scaled / temperature
    return scaled.log_softmax(-1).clamp(min=LOG_ZERO)


def kl_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """`KL(p‖q)` of log-probabilities `[..., V]` as `[...]`."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _log_mixture(log_a: Tensor, log_b: Tensor, weight: float) -> Tensor:
    """`log(weight·a + (1 − weight)·b)`; the end points are the components themselves."""
    if weight <= 0.0:
        return log_b
    if weight >= 1.0:
        return log_a + 0.0 * log_b  # keeps a gradient, of 0, where only b has a graph
    return torch.logaddexp(log_a + math.log(weight), log_b + math.log1p(-weight))


def _generalized_jsd(log_p: Tensor, log_q: Tensor, beta: float) -> Tensor:
    if beta <= 0.0:
        return kl_divergence(log_p, log_q)
    if beta >= 1.0:
        return kl_divergence(log_q, log_p)
    log_m = _log_mixture(log_p, log_q, beta)
    return beta * kl_divergence(log_p, log_m) + (1.0 - beta) * kl_divergence(log_q, log_m)


def total_variation(log_p: Tensor, log_q: Tensor) -> Tensor:
    """`½·‖p − q‖₁` of log-probabilities `[..., V]` as `[...]`, between 0 and 1."""
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(-1)


_KINDS: dict[str, Callable[[Tensor, Tensor, float, float], Tensor]] = {
    "forward_kl": lambda p, q, _beta, _alpha: kl_divergence(p, q),
    "reverse_kl": lambda p, q, _beta, _alpha: kl_divergence(q, p),
    "jsd": lambda p, q, beta, _alpha: _generalized_jsd(p, q, beta),
    "tvd": lambda p, q, _beta, _alpha: total_variation(p, q),
    "skew_forward_kl": lambda p, q, _beta, alpha: kl_divergence(p, _log_mixture(p, q, alpha)),
    "skew_reverse_kl": lambda p, q, _beta, alpha: kl_divergence(q, _log_mixture(q, p, alpha)),
}


def check_parameters(kind: str, beta: float, alpha: float, temperature: float) -> None:
    """Checks the parameters of `divergence`.

    Raises:
        LossError: unknown kind, beta or alpha outside [0, 1], temperature ≤ 0.
    """
    if kind not in _KINDS:
        raise LossError(f"unknown divergence {kind!r}: use one of {', '.join(get_args(DivergenceKind))}")
    if not (0.0 <= beta <= 1.0 and 0.0 <= alpha <= 1.0):
        raise LossError(f"beta and alpha must lie in [0, 1], not beta={beta}, alpha={alpha}")
    check_temperature(temperature)


def check_temperature(temperature: float) -> None:
    """Raises LossError where it is not positive."""
    if not temperature > 0.0:
        raise LossError(f"temperature must be positive, not {temperature}")


def check_shapes(student_logits: Tensor, teacher_logits: Tensor) -> None:
    """Raises ValueError where they differ."""
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"student logits {tuple(student_logits.shape)} and teacher logits {tuple(teacher_logits.shape)} "
            "must have one shape: cut both to the shared vocabulary first"
        )


def divergence(
    kind: DivergenceKind,
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    beta: float = BETA,
    alpha: float = ALPHA,
    temperature: float = 1.0,
) -> Tensor:
    """Divergence of the student from the teacher at every position.

    | kind | value |
    |---|---|
    | forward_kl | `KL(p‖q)` |
    | reverse_kl | `KL(q‖p)` |
    | jsd | `β·KL(p‖m) + (1−β)·KL(q‖m)`, `m = β·p + (1−β)·q`; `KL(p‖q)` at β = 0, `KL(q‖p)` at β = 1 (GKD) |
    | tvd | `½·‖p − q‖₁` |
    | skew_forward_kl | `KL(p ‖ α·p + (1−α)·q)` (DistiLLM) |
    | skew_reverse_kl | `KL(q ‖ α·q + (1−α)·p)` (DistiLLM) |

    Args:
        kind: one of the names above.
        student_logits: `[..., V]`, any float dtype. A logit of −inf is a token of probability 0.
        teacher_logits: `[..., V]`.
        beta: weight of the teacher in the mixture of `jsd`, in [0, 1].
        alpha: skew of the skewed divergences, in [0, 1].
        temperature: divides both models' logits before the softmax; there is no T² factor.

    Returns:
        `[...]` in nats, float32 (float64 if an input is). A divergence that is infinite by definition
        (a token forbidden by −inf on one side alone) is at most 10⁶ (see `LOG_ZERO`). No reduction.

    Raises:
        ValueError: unknown kind, shapes that differ, beta or alpha outside [0, 1], temperature ≤ 0.
    """
    check_parameters(kind, beta, alpha, temperature)
    check_shapes(student_logits, teacher_logits)
    log_p = log_probabilities(teacher_logits, temperature)
    log_q = log_probabilities(student_logits, temperature)
    return _KINDS[kind](log_p, log_q, beta, alpha)
