"""The α-β divergence (ABKD 2025; beyond the paper)."""

import torch
from torch import Tensor

from py_worker.losses.divergence import check_shapes, check_temperature, log_probabilities
from py_worker.losses.errors import LossError

LARGEST_EXPONENT = 60.0
"""With a negative parameter the divergence has no bound where one policy gives a token no probability. A
power of at most e^60 stays finite in float32, also summed over a whole vocabulary."""


def alpha_beta_divergence(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    alpha: float,
    beta: float,
    temperature: float = 1.0,
) -> Tensor:
    """`−1/(αβ) Σ [p^α q^β − α/(α+β)·p^(α+β) − β/(α+β)·q^(α+β)]` of the student `q` from the teacher `p`.

    With `s = α+β` that is `−1/(αβs) Σ [α·(p^α q^β − p^s) + β·(p^α q^β − q^s)]`, and its slope in `log q` is
    `−(p^α q^β − q^s)/α` (derived). Both take differences of powers by `difference`, so that near `p = q` no
    more is lost than in a KL. Differentiable once, in the student's logits alone.

    Args:
        student_logits: `[..., V]`, any float dtype. A logit of −inf is a token of probability 0.
        teacher_logits: `[..., V]`.
        alpha: power of the teacher, not 0. Near 0 (and β = 1) it tends to `KL(q‖p)`.
        beta: power of the student, not 0. Near 0 (and α = 1) it tends to `KL(p‖q)`.
        temperature: divides both models' logits before the softmax; there is no T² factor.

    Returns:
        `[...]`, float32 (float64 if an input is), at least 0 up to rounding. No reduction.

    Raises:
        ValueError: shapes that differ, α, β or α+β of 0, temperature ≤ 0.
    """
    check_shapes(student_logits, teacher_logits)
    check_powers(alpha, beta)
    check_temperature(temperature)
    total = alpha + beta
    log_p = log_probabilities(teacher_logits, temperature)
    log_q = log_probabilities(student_logits, temperature)
    with torch.no_grad():
        mixed, ratio = power(alpha * log_p + beta * log_q), log_p - log_q
        over_p = difference(mixed, total * log_p, -0.5 * beta * ratio)
        over_q = difference(mixed, total * log_q, 0.5 * alpha * ratio)
        value = (alpha * over_p + beta * over_q).sum(-1) / (-alpha * beta * total)
        slope = over_q / -alpha
    return value + (slope * (log_q - log_q.detach())).sum(-1)


def check_powers(alpha: float, beta: float) -> None:
    """Raises LossError where α, β or α+β is 0."""
    if alpha == 0.0 or beta == 0.0 or alpha + beta == 0.0:
        raise LossError(
            f"alpha, beta and their sum must not be 0, not alpha={alpha}, beta={beta}: the limits are "
            "forward_kl and reverse_kl"
        )


def power(exponent: Tensor) -> Tensor:
    """`e^exponent`, at most `e^LARGEST_EXPONENT`; written over the exponent."""
    return exponent.clamp_(max=LARGEST_EXPONENT).exp_()


def difference(first: Tensor, exponent: Tensor, half: Tensor) -> Tensor:
    """`e^a − e^b` as `(e^a + e^b)·tanh(½(a − b))`, which loses no digits where the two are close.

    Args:
        first: `e^a`, by `power`.
        exponent: `b`. The result is written over it.
        half: `½(a − b)` with the digits that a difference of `a` and `b` has lost. Written over.
    """
    return power(exponent).add_(first).mul_(half.tanh_())
