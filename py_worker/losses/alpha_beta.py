"""The α-β divergence (ABKD 2025; beyond the paper)."""

import torch
from torch import Tensor

from py_worker.losses.divergence import check_shapes, check_temperature, log_probabilities

LARGEST_EXPONENT = 60.0
"""With a negative parameter the divergence has no bound where one policy gives a token no probability. A
summand of at most e^60 stays finite in float32, also over a whole vocabulary."""


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
    `−(p^α q^β − q^s)/α` (derived). Both take differences of powers by `expm1`, so that near `p = q` no more
    is lost than in a KL. Differentiable once, in the student's logits alone.

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
    check_temperature(temperature)
    total = alpha + beta
    if alpha == 0.0 or beta == 0.0 or total == 0.0:
        raise ValueError(
            f"alpha, beta and their sum must not be 0, not alpha={alpha}, beta={beta}: the limits are "
            "forward_kl and reverse_kl"
        )
    log_p = log_probabilities(teacher_logits, temperature)
    log_q = log_probabilities(student_logits, temperature)
    with torch.no_grad():
        mixed, ratio = alpha * log_p + beta * log_q, log_p - log_q
        over_p = _difference(mixed, total * log_p, -beta * ratio)
        over_q = _difference(mixed, total * log_q, alpha * ratio)
        value = (alpha * over_p + beta * over_q).sum(-1) / (-alpha * beta * total)
        slope = over_q / -alpha
    return value + (slope * (log_q - log_q.detach())).sum(-1)


def _difference(first: Tensor, second: Tensor, gap: Tensor) -> Tensor:
    """`e^first − e^second`, given `gap = first − second` with the digits that those two have lost."""
    largest = torch.maximum(first, second).clamp(max=LARGEST_EXPONENT)
    return -gap.sign() * largest.exp() * (-gap.abs()).expm1()
