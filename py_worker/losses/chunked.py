"""One sweep over positions, a chunk at a time: from hidden states to losses and gradients, without a graph.

Per chunk the heads write projections `[chunk, V]` into two buffers that are used again and again: fresh ones
are paged in by the kernel each time, which took a CPU 3 to 8 times as long as the arithmetic on them. A chunk
is worked on in tiles that stay in the cache, and the gradient overwrites the student's projections.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from py_worker.losses.analytic import TileInputs, TileLoss, TileResult
from py_worker.models.head import OutputHead

TILE_LOGITS = {"cpu": 2**16, "cuda": 2**24}
"""Logits worked on at once, for each thread of a CPU. There 256 KiB in float32, of which six temporaries stay
near a core's cache; 2^18 was as fast or up to 1.4 times slower, by what the allocator did, and at 2^22 every
pass took 2 to 4 times as long. On a GPU 64 MiB, where launches cost little (not measured)."""

ROWS_AT_ONCE = 2**12
"""Rows of a half-precision head whose gradient in the projections is widened at once, on a CPU."""


class Upstream(NamedTuple):
    """Gradient of the final scalar in each loss `[N]` and, or None for 0, in each log-probability `[N]`."""

    loss: Tensor
    log_prob: Tensor | None = None


class Wanted(NamedTuple):
    """Which gradients a sweep is to compute."""

    hidden: bool = False
    weight: bool = False
    bias: bool = False


@dataclass(frozen=True)
class Constants:
    """What a sweep needs besides the student, none of it with a gradient.

    Attributes:
        loss: of a tile.
        teacher: its head.
        teacher_hidden: [N, H_teacher], in the head's dtype.
        values: a critic's `[n, V]` at a range of positions, or None.
        bound: what is still to be done to values, a tile at a time, or None.
        tokens: [N] int64, or None.
        chunk_size: positions whose logits are held at once.
        compiled: run a tile's function through `torch.compile`, a whole chunk as one tile.
    """

    loss: TileLoss
    teacher: OutputHead
    teacher_hidden: Tensor
    values: Callable[[slice], Tensor] | None = None
    bound: Callable[[Tensor], Tensor] | None = None
    tokens: Tensor | None = None
    chunk_size: int = 256
    compiled: bool = False

    def dtype(self, student_weight: Tensor) -> torch.dtype:
        """Of the losses: at least float32."""
        wide = torch.promote_types(student_weight.dtype, torch.float32)
        return torch.promote_types(wide, self.teacher.weight.dtype)


@dataclass
class Sweep:
    """Losses at `N` positions and the gradients that are wanted; `run` fills them in.

    Attributes:
        constants: of the call.
        student: the head, without graph.
        inputs: [N, H], the student's hidden states in the head's dtype.
        upstream: in the losses' dtype.
        wanted: which gradients.
        loss: [N].
        log_prob: [N] of the tokens; None without tokens.
        hidden: gradient [N, H], in the head's dtype; None where not wanted, as the following.
        weight: gradient [V, H], float32 or wider.
        bias: gradient [V], float32 or wider.
    """

    constants: Constants
    student: OutputHead
    inputs: Tensor
    upstream: Upstream
    wanted: Wanted
    loss: Tensor = field(init=False)
    log_prob: Tensor | None = field(init=False, default=None)
    hidden: Tensor | None = field(init=False, default=None)
    weight: Tensor | None = field(init=False, default=None)
    bias: Tensor | None = field(init=False, default=None)

    @torch.no_grad()
    def run(self) -> "Sweep":
        """Goes through all positions once."""
        self._allocate()
        size, teacher = self.constants.chunk_size, self.constants.teacher
        buffers = [
            head.weight.new_empty(min(size, len(self.inputs)), head.vocab_size)
            for head in (self.student, teacher)
        ]
        for where in _ranges(len(self.inputs), size):
            count = where.stop - where.start
            student = torch.mm(self.inputs[where], self.student.rows.t(), out=buffers[0][:count])
            states = self.constants.teacher_hidden[where]
            self._chunk(where, student, torch.mm(states, teacher.rows.t(), out=buffers[1][:count]))
            self._through_head(where, student)
        return self

    def _allocate(self) -> None:
        inputs, head = self.inputs, self.student
        wide = torch.promote_types(head.weight.dtype, torch.float32)
        self.loss = inputs.new_empty(len(inputs), dtype=self.constants.dtype(head.weight))
        if self.constants.tokens is not None:
            self.log_prob = torch.empty_like(self.loss)
        if self.wanted.hidden:
            self.hidden = torch.empty_like(inputs)
        if self.wanted.weight:
            self.weight = inputs.new_zeros(head.vocab_size, inputs.shape[1], dtype=wide)
        if self.wanted.bias:
            self.bias = inputs.new_zeros(head.vocab_size, dtype=wide)

    def _chunk(self, where: slice, student: Tensor, teacher: Tensor) -> None:
        """Fills in the losses; the student's projections become the gradient in them, if any is wanted."""
        constants, upstream, count = self.constants, self.upstream, len(student)
        values = None if constants.values is None else constants.values(where)
        function, rows = tile_result, max(1, tile_logits(student.device) // student.shape[1])
        if constants.compiled:
            function, rows = _compiled_tile(), count
        for tile in _ranges(count, rows):
            at = slice(where.start + tile.start, where.start + tile.stop)
            inputs = TileInputs(
                upstream.loss[at],
                None if values is None else values[tile],
                None if constants.tokens is None else constants.tokens[at],
                None if upstream.log_prob is None else upstream.log_prob[at],
            )
            found = function(constants, self.student, student[tile], teacher[tile], inputs)
            self.loss[at] = found.loss
            if self.log_prob is not None and found.log_prob is not None:
                self.log_prob[at] = found.log_prob
            if any(self.wanted):
                student[tile] = found.gradient

    def _through_head(self, where: slice, gradient: Tensor) -> None:
        """From the gradient in a chunk's projections `[n, V]` to that in hidden states, weight and bias."""
        scale = self.student.scale
        if self.bias is not None:
            self.bias.add_(gradient.sum(0, dtype=self.bias.dtype))
        if self.hidden is not None:
            torch.mm(gradient, self.student.rows, out=self.hidden[where])
            if scale != 1.0:
                self.hidden[where].mul_(scale)
        if self.weight is not None:
            accumulate(self.weight, gradient, self.inputs[where], scale)


def _ranges(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def tile_logits(device: torch.device) -> int:
    """Logits per tile; see `TILE_LOGITS`."""
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    return TILE_LOGITS.get(device.type, TILE_LOGITS["cpu"]) * threads


def tile_result(
    constants: Constants,
    student: OutputHead,
    student_projected: Tensor,
    teacher_projected: Tensor,
    inputs: TileInputs,
) -> TileResult:
    """Losses of a tile, and the gradient in the student's projections `h Wᵀ` before scale and bias.

    The scale, and it alone, is left out of the gradient: it is cheaper on what the projections lead to.
    """
    student_logits = student.finish(student_projected)
    teacher_logits = constants.teacher.finish(teacher_projected)
    dtype = torch.promote_types(student_logits.dtype, teacher_logits.dtype)
    if constants.bound is not None and inputs.values is not None:
        inputs = inputs._replace(values=constants.bound(inputs.values))
    found = constants.loss(student_logits.to(dtype), teacher_logits.to(dtype), inputs)
    if student.soft_cap is not None:
        # d/dx of cap·tanh(x/cap) is 1 − tanh².
        found.gradient.mul_(1.0 - (student_logits / student.soft_cap).square())
    return found


@cache
def _compiled_tile() -> Callable[..., TileResult]:
    compiled: Callable[..., TileResult] = torch.compile(tile_result, fullgraph=True)
    return compiled


def accumulate(total: Tensor, gradient: Tensor, hidden: Tensor, scale: float) -> None:
    """`total += scale · gradientᵀ hidden` for `[V, H]`, `[n, V]`, `[n, H]`; the sum is in total's dtype."""
    if total.dtype == gradient.dtype:
        total.addmm_(gradient.t(), hidden, alpha=scale)
    elif total.is_cuda:  # pragma: no cover (no CUDA device in the tests)
        torch.addmm(total, gradient.t(), hidden, out_dtype=total.dtype, alpha=scale, out=total)
    else:
        # On a CPU no product of halves gives float32, and rounding that of each chunk made the sum's error up
        # to 1.2 times the plain form's. In float32 this one product takes 1.1 to 2 times as long.
        wide = hidden.to(total.dtype)
        for rows in _ranges(len(total), ROWS_AT_ONCE):
            total[rows].addmm_(gradient[:, rows].to(total.dtype).t(), wide, alpha=scale)
