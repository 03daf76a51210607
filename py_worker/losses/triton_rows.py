"""Losses of logits and their gradients by one Triton kernel (experimental: never run on a GPU).

Every loss of `analytic` is a sum over the vocabulary, and with `u_y = q_y · ∂D/∂log q_y` its gradient in the
logits is `(u − q · Σ u)/τ` (derived: the Jacobian of a softmax; what `∂D/∂log q` has in common for all tokens
drops out). So one kernel serves them all, and a kind is two formulas, in `_token`.

One program works on one position and reads its logits three times: for both normalisers, for the loss and
`Σ u`, and for the gradient, which is all that it writes of the vocabulary's size.

Imported only where this form is asked for: a build of torch for CPUs brings no Triton. With
`TRITON_INTERPRET=1` in the environment the kernel runs on a CPU, by NumPy and slowly; the tests do that.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

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
"""Of a program: 8 tokens of a block for each thread. With 16 for each, two kinds spill 8 bytes of registers
(times were not measured)."""

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
        with torch.cuda.device_of(student):
            _rows[(rows,)](
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
    """The same loss by the kernel; itself where there is nothing to gain, at the ends of a mixture."""
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


@triton.jit
def _log_normaliser(
    logits,
    vocabulary,
    dtype: tl.constexpr,
    TEMPERATURE: tl.constexpr,
    LOWEST: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Largest `x/τ` of a row, and the logarithm of `Σ exp(x/τ)` over that: a sum of both loses digits.

    Each lane has a running maximum of its own.
    """
    at = tl.arange(0, BLOCK)
    # Finite, so that −inf less the maximum is never −inf less itself.
    largest = tl.full([BLOCK], LOWEST, dtype)
    total = tl.zeros([BLOCK], dtype)
    for start in range(0, vocabulary, BLOCK):
        here = start + at < vocabulary
        x = tl.load(logits + start + at, mask=here, other=-float("inf")).to(dtype) / TEMPERATURE
        higher = tl.maximum(largest, x)
        total = total * tl.exp(largest - higher) + tl.exp(x - higher)
        largest = higher
    highest = tl.max(largest, 0)
    return highest, tl.log(tl.sum(total * tl.exp(largest - highest), 0))


@triton.jit
def _at_least(x, lowest):
    """Larger of the two, and nan where x is: a GPU's own maximum would hide it, and with it the fault."""
    return tl.maximum(x, lowest, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _log_softmax(
    logits,
    highest,
    log_total,
    at,
    vocabulary,
    dtype: tl.constexpr,
    TEMPERATURE: tl.constexpr,
    LOG_ZERO: tl.constexpr,
):
    """Of the tokens `at`, at least `LOG_ZERO`, which is also what is beyond the vocabulary."""
    x = tl.load(logits + at, mask=at < vocabulary, other=-float("inf")).to(dtype) / TEMPERATURE
    return _at_least(x - highest - log_total, LOG_ZERO)


@triton.jit
def _token(
    log_p,
    log_q,
    values,
    KIND: tl.constexpr,
    MIX: tl.constexpr,
    LOG_ZERO: tl.constexpr,
    TINY: tl.constexpr,
):
    """What a token adds to the loss, and its `u`. The mixtures are those of `analytic`."""
    p, q = tl.exp(log_p), tl.exp(log_q)
    if KIND == "moment":
        term = (p - q) * values
        slope = -q * values
    elif KIND == "forward_kl":
        term = p * (log_p - log_q)
        slope = tl.where(log_q > LOG_ZERO, -p, 0.0)
    elif KIND == "reverse_kl":
        term = q * (log_q - log_p)
        slope = term
    elif KIND == "jsd":
        log_m = tl.log(_at_least(q + MIX * (p - q), TINY))
        of_student = (1.0 - MIX) * q * (log_q - log_m)
        term = MIX * p * (log_p - log_m) + of_student
        slope = of_student
    elif KIND == "tvd":
        term = 0.5 * tl.abs(p - q)
        # The sign of q − p; 0 · p keeps nan.
        slope = 0.5 * q * (tl.where(p < q, 1.0, 0.0) - tl.where(p > q, 1.0, 0.0) + 0.0 * p)
    elif KIND == "skew_forward_kl":
        m = _at_least(q + MIX * (p - q), TINY)
        term = p * (log_p - tl.log(m))
        slope = -(1.0 - MIX) * p * (q / m)
    else:
        tl.static_assert(KIND == "skew_reverse_kl")
        m = _at_least(p + MIX * (q - p), TINY)
        ratio = log_q - tl.log(m)
        term = q * ratio
        slope = q * (ratio - MIX * (q / m))
    return term, slope


@triton.jit
def _rows(
    student,
    teacher,
    values,
    tokens,
    upstream,
    token_upstream,
    loss,
    log_prob,
    gradient,
    student_stride,
    teacher_stride,
    values_stride,
    vocabulary,
    KIND: tl.constexpr,
    MIX: tl.constexpr,
    TEMPERATURE: tl.constexpr,
    LOG_ZERO: tl.constexpr,
    TINY: tl.constexpr,
    LOWEST: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Loss, `log q` of a token where one is given, and gradient of one position."""
    dtype: tl.constexpr = gradient.dtype.element_ty
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    student += row * student_stride
    gradient += row * vocabulary
    student_highest, student_total = _log_normaliser(student, vocabulary, dtype, TEMPERATURE, LOWEST, BLOCK)
    of_loss = tl.load(upstream + row).to(dtype)

    token = tl.full((), -1, tl.int64)
    of_token = tl.zeros((), dtype)
    if tokens is not None:
        token = tl.load(tokens + row)
        known = (token >= 0) & (token < vocabulary)
        x = tl.load(student + token, mask=known, other=float("nan")).to(dtype)
        found = _at_least(x - student_highest - student_total, LOG_ZERO)
        tl.store(log_prob + row, found)
        if token_upstream is not None:
            of_token = tl.where(found > LOG_ZERO, tl.load(token_upstream + row), 0.0).to(dtype)
        if KIND == "cross_entropy":
            tl.store(loss + row, -found)

    of_slopes = tl.zeros((), dtype)
    if KIND != "cross_entropy":
        teacher += row * teacher_stride
        if values is not None:
            values += row * values_stride
        teacher_highest, teacher_total = _log_normaliser(
            teacher, vocabulary, dtype, TEMPERATURE, LOWEST, BLOCK
        )
        terms = tl.zeros([BLOCK], dtype)
        slopes = tl.zeros([BLOCK], dtype)
        for start in range(0, vocabulary, BLOCK):
            at = start + columns
            log_q = _log_softmax(
                student, student_highest, student_total, at, vocabulary, dtype, TEMPERATURE, LOG_ZERO
            )
            log_p = _log_softmax(
                teacher, teacher_highest, teacher_total, at, vocabulary, dtype, TEMPERATURE, LOG_ZERO
            )
            f = log_q
            if KIND == "moment":
                f = tl.load(values + at, mask=at < vocabulary, other=0.0).to(dtype)
            term, slope = _token(log_p, log_q, f, KIND, MIX, LOG_ZERO, TINY)
            terms += term
            slopes += slope
        tl.store(loss + row, tl.sum(terms, 0))
        of_slopes = tl.sum(slopes, 0)

    for start in range(0, vocabulary, BLOCK):
        at = start + columns
        log_q = _log_softmax(
            student, student_highest, student_total, at, vocabulary, dtype, TEMPERATURE, LOG_ZERO
        )
        q = tl.exp(log_q)
        found_gradient = of_token * (tl.where(at == token, 1.0, 0.0) - q)
        if KIND != "cross_entropy":
            log_p = _log_softmax(
                teacher, teacher_highest, teacher_total, at, vocabulary, dtype, TEMPERATURE, LOG_ZERO
            )
            f = log_q
            if KIND == "moment":
                f = tl.load(values + at, mask=at < vocabulary, other=0.0).to(dtype)
            _, slope = _token(log_p, log_q, f, KIND, MIX, LOG_ZERO, TINY)
            found_gradient += of_loss / TEMPERATURE * (slope - q * of_slopes)
        tl.store(gradient + at, found_gradient, mask=at < vocabulary)
