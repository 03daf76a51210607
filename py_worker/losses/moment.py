"""Moment matching: the gap of a critic between two policies, and discounted costs to go."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def _at_least_float32(*tensors: Tensor) -> torch.dtype:
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def moment_gap(student_logits: Tensor, teacher_logits: Tensor, values: Tensor) -> Tensor:
    """`Δ_f(s) = Σ_y (π*(y|s) − π_θ(y|s)) · f(s, y)` at every position.

    The exact (not sampled) difference of a critic's mean under the two policies. It is right on any states,
    and `|Δ_f| ≤ 2B·TV` for a critic bounded by B (derived). With identical policies the value is 0 whatever
    `f`, its gradient is not.

    Args:
        student_logits: `[..., V]` of `π_θ`. A logit of −inf is a token of probability 0.
        teacher_logits: `[..., V]` of `π*`.
        values: `[..., V]` of the critic `f`. Detach them for a student's step.

    Returns:
        `[...]` in the critic's units, float32 (float64 if an input is). Differentiable in all arguments.

    Raises:
        ValueError: shapes that differ.
    """
    if not student_logits.shape == teacher_logits.shape == values.shape:
        raise ValueError(
            f"student logits {tuple(student_logits.shape)}, teacher logits {tuple(teacher_logits.shape)} and "
            f"values {tuple(values.shape)} must have one shape"
        )
    dtype = _at_least_float32(student_logits, teacher_logits, values)
    difference = teacher_logits.to(dtype).softmax(-1) - student_logits.to(dtype).softmax(-1)
    return (difference * values.to(dtype)).sum(-1)


def cost_to_go(
    costs: Tensor,
    mask: Tensor,
    gamma: float,
    *,
    include_current: bool,
    norm: Literal["none", "length"] = "none",
) -> Tensor:
    """`Σ γ^(t'−t) c_t'` over `t' ≥ t` (`include_current`) or `t' > t`, to the end of the row.

    There is no factor `γ^(t−1)` for the position itself: whoever wants it applies it, once.

    Args:
        costs: `[B, T]`; anything, even nan, where `mask` is false.
        mask: `[B, T]`, true at valid positions.
        gamma: discount per position, in [0, 1].
        include_current: whether the cost at t itself counts.
        norm: `length` divides by the number of valid positions in the sum (0 where there is none).

    Returns:
        `[B, T]`, 0 where `mask` is false; float32 (float64 if `costs` is).

    Raises:
        ValueError: shapes that differ or are not `[B, T]`, gamma outside [0, 1], unknown norm.
    """
    if costs.dim() != 2 or costs.shape != mask.shape:
        raise ValueError(f"costs {tuple(costs.shape)} and mask {tuple(mask.shape)} must be one [B, T]")
    if not 0.0 <= gamma <= 1.0:
        raise ValueError(f"gamma must lie in [0, 1], not {gamma}")
    if norm not in ("none", "length"):
        raise ValueError(f"unknown norm {norm!r}: use 'none' or 'length'")
    valid = mask.bool()
    clean = costs.to(_at_least_float32(costs)).masked_fill(~valid, 0.0)
    sums = _discounted_suffix_sums(clean, gamma)
    to_go = sums if include_current else gamma * F.pad(sums[:, 1:], (0, 1))
    if norm == "length":
        counts = _discounted_suffix_sums(valid.to(clean.dtype), 1.0)
        to_go = to_go / (counts if include_current else counts - 1.0).clamp(min=1.0)
    return to_go.masked_fill(~valid, 0.0)


def _discounted_suffix_sums(costs: Tensor, gamma: float) -> Tensor:
    """`R_t = c_t + γ·R_(t+1)` along the last dimension. A loop: γ^T underflows in a division by powers."""
    sums = list(costs.unbind(1))
    for t in range(len(sums) - 2, -1, -1):
        sums[t] = sums[t] + gamma * sums[t + 1]
    return torch.stack(sums, 1) if sums else costs
