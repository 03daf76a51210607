"""Losses of logits and their gradients by one Triton kernel (experimental: never run on a GPU).

Every loss of `analytic` is a sum over the vocabulary, and with `u_y = q_y · ∂D/∂log q_y` its gradient in the
logits is `(u − q · Σ u)/τ` (derived: the Jacobian of a softmax; what `∂D/∂log q` has in common for all tokens
drops out). So one kernel (`triton_kernel`) serves them, but for `mixture_moment_loss` and `AlphaBetaLoss`,
which keep their torch operations.

One program works on one position and reads its logits three times: for both normalisers, for the loss and
`Σ u`, and for the gradient, which is all that it writes of the vocabulary's size.

Imported only where this form of a tile is asked for: a build of torch for CPUs brings no Triton. With
`TRITON_INTERPRET=1` in the environment the kernel runs on a CPU, by NumPy and slowly; the tests do that.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import triton
from torch import Tensor

from py_worker.losses import triton_kernel
from py_worker.losses.analytic import (
    DivergenceLoss,
    TileInputs,
    TileLoss,
    TileResult,
    cross_entropy_loss,
    moment_loss,
)
from py_worker.losses.divergence import LOG_ZERO, DivergenceKind

BLOCK = 4096
"""Tokens that a program works on at a time, at most; a power of 2."""

WARPS = 16
"""Warps of a program: 8 tokens of a block for each thread. With 16 for each, two kinds spill 8 bytes of
registers (times were not measured)."""

RowKind = DivergenceKind | Literal["moment", "cross_entropy"]
_OF_TOKENS = ("moment", "cross_entropy")


@dataclass(frozen=True)
class RowLoss:
    """A `TileLoss`, by the kernel, in float32 or the student's own precision if that is higher.

    A token outside the vocabulary gives nan, as does a row without a finite logit: the step is skipped then.

    Attributes:
        kind: a divergence, the moment gap, or minus the log-probability of a token.
        mix: beta of `jsd`, alpha of the skewed divergences, between 0 and 1 and neither.
        temperature: of a divergence.
    """

    kind: RowKind
    mix: float = 0.5
    temperature: float = 1.0

    def __call__(self, student: Tensor, teacher: Tensor | None, inputs: TileInputs) -> TileResult:
        self._check(teacher, inputs)
        rows, vocabulary = student.shape
        gradient = student.new_empty(
            rows, vocabulary, dtype=torch.promote_types(student.dtype, torch.float32)
        )
        loss, upstream = gradient.new_empty(rows), inputs.upstream
        tokens = inputs.tokens if self.kind in _OF_TOKENS else None
        log_prob = None if tokens is None else torch.empty_like(loss)
        of_token = -upstream if self.kind == "cross_entropy" else inputs.token_upstream
        wide = [None if t is None else _dense(t) for t in (student, teacher, inputs.values)]
        # Triton launches on the current device, wherever the tensors are; on a CPU this does nothing.
        with torch.cuda.device_of(student):  # type: ignore[no-untyped-call]
            triton_kernel.rows[(rows,)](
                *wide,
                *(None if t is None else t.contiguous() for t in (tokens, upstream, of_token)),
                loss,
                log_prob,
                gradient,
                *(0 if t is None else t.stride(0) for t in wide),
                vocabulary,
                KIND=self.kind,
                MIX=self.mix,
                TEMPERATURE=self.temperature,
                LOG_ZERO=LOG_ZERO,
                TINY=torch.finfo(gradient.dtype).tiny,
                LOWEST=torch.finfo(gradient.dtype).min,
                BLOCK=min(BLOCK, triton.next_power_of_2(vocabulary)),
                num_warps=WARPS,
            )
        return TileResult(loss, None if self.kind == "cross_entropy" else log_prob, gradient)

    def _check(self, teacher: Tensor | None, inputs: TileInputs) -> None:
        if teacher is None and self.kind != "cross_entropy":
            raise ValueError("this loss needs a teacher's logits")
        if inputs.values is None and self.kind == "moment":
            raise ValueError("this loss needs a critic's values")
        if inputs.tokens is None and self.kind == "cross_entropy":
            raise ValueError("this loss needs tokens")


def row_loss(loss: TileLoss) -> TileLoss:
    """The same loss by the kernel; itself where the kernel lacks it, or gains nothing (ends of a mixture)."""
    if loss is moment_loss:
        return RowLoss("moment")
    if loss is cross_entropy_loss:
        return RowLoss("cross_entropy")
    if not isinstance(loss, DivergenceLoss):
        return loss
    mix = loss.beta if loss.kind == "jsd" else loss.alpha
    mixed = loss.kind in ("jsd", "skew_forward_kl", "skew_reverse_kl")
    if mixed and not 0.0 < mix < 1.0:
        return loss
    return RowLoss(loss.kind, mix if mixed else 0.5, loss.temperature)


def _dense(tensor: Tensor) -> Tensor:
    """A row's numbers side by side."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
