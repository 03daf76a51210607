"""From hidden states through both output heads and back through the student's, in chunks of positions.

Per chunk the heads write projections `[chunk, V]` into two buffers that are used again and again: fresh ones
are paged in by the kernel each time, which took a CPU 3 to 8 times as long as the arithmetic on them. A chunk
is worked on in tiles that stay in the cache, and the gradient overwrites the student's projections. There is
no graph, and never a tensor `[N, V]`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from py_worker.models.head import OutputHead
from py_worker.models.policy import Policy

CHUNK_LOGITS = {"cpu": 2**24, "cuda": 2**27}
"""Logits held at once by default: 64 MiB in float32 on a CPU (341 positions of a vocabulary of 49,152), and
512 MiB on a GPU, where short chunks read the head's weight more often than they use it. A fixed table, never
a timing, because the size changes rounding."""

TILE_LOGITS = {"cpu": 2**16, "cuda": 2**24}
"""Logits worked on at once, for each thread of a CPU. There 256 KiB in float32, of which six temporaries stay
near a core's cache; 2^18 was as fast or up to 1.4 times slower, by what the allocator did, and at 2^22 every
pass took 2 to 4 times as long. On a GPU 64 MiB, where launches cost little (not measured)."""

ROWS_AT_ONCE = 2**12
"""Rows of a half-precision head whose gradient in the projections is widened at once, on a CPU."""

TileFunction = Callable[[slice, Tensor, Tensor | None], Tensor | None]
"""Takes a range of the chunk's positions and both models' projections there, `h Wᵀ` `[n, V]` before scale and
bias (None without a teacher), and returns the gradient in the student's, without its scale, or None for 0."""


class HeadPass:
    """A pass through both heads, chunk by chunk: its buffers, and the sums of the student's head's gradients.

    Args:
        student: the head, without graph, in the dtype of the products.
        teacher: likewise, or None.
        chunk_size: most positions of a chunk, for which the buffers have room.
        weight: [V, H] that the weight's gradient is added to, float32 or wider, or None.
        bias: [V] likewise.
    """

    def __init__(
        self,
        student: OutputHead,
        teacher: OutputHead | None,
        *,
        chunk_size: int,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> None:
        self._student, self._teacher, self._size = student, teacher, chunk_size
        self._weight, self._bias = weight, bias
        self._buffers: dict[int, Tensor] = {}

    @torch.no_grad()
    def chunk(
        self, inputs: Tensor, teacher_hidden: Tensor | None, tile: TileFunction, hidden: Tensor | None
    ) -> None:
        """One chunk of `n` positions.

        Args:
            inputs: [n, H], the student's hidden states in its head's dtype.
            teacher_hidden: [n, H_teacher] in that of the teacher's head, or None where `tile` needs none.
            tile: asked for one range of the chunk after the other.
            hidden: [n, H] that the gradient in the hidden states is written to, or None.
        """
        student, teacher, found = self._project(self._student, inputs), None, False
        if teacher_hidden is not None and self._teacher is not None:
            teacher = self._project(self._teacher, teacher_hidden)
        rows = max(1, tile_logits(student.device) // student.shape[1])
        for where in ranges(len(student), rows):
            gradient = tile(where, student[where], None if teacher is None else teacher[where])
            if gradient is not None:
                student[where], found = gradient, True
        if found:
            self._through_head(student, inputs, hidden)
        elif hidden is not None:
            hidden.zero_()

    def _project(self, head: OutputHead, hidden: Tensor) -> Tensor:
        """Into the head's buffer, made when it is first needed."""
        if id(head) not in self._buffers:
            self._buffers[id(head)] = head.weight.new_empty(self._size, head.vocab_size)
        return torch.mm(hidden, head.rows.t(), out=self._buffers[id(head)][: len(hidden)])

    def _through_head(self, gradient: Tensor, inputs: Tensor, hidden: Tensor | None) -> None:
        """From the gradient in a chunk's projections `[n, V]` to that in hidden states, weight and bias."""
        scale = self._student.scale
        if self._bias is not None:
            self._bias.add_(gradient.sum(0, dtype=self._bias.dtype))
        if hidden is not None:
            torch.mm(gradient, self._student.rows, out=hidden)
            if scale != 1.0:
                hidden.mul_(scale)
        if self._weight is not None:
            accumulate(self._weight, gradient, inputs, scale)


def positions_at_once(policy: Policy, chunk_size: int | None = None) -> int:
    """Positions of a chunk, at least 1: as many as given, or by default; see `CHUNK_LOGITS`."""
    logits = CHUNK_LOGITS.get(policy.device.type, CHUNK_LOGITS["cpu"])
    return chunk_size or max(1, logits // policy.vocab_size)


def constant_head(policy: Policy) -> OutputHead:
    """The policy's head without graph, in the dtype of its products."""
    head = policy.head
    weight = head.rows.detach()
    bias = None if head.bias is None else head.bias.detach()[: head.vocab_size]
    return replace(
        head, weight=weight if policy.compute_dtype is None else weight.to(policy.compute_dtype), bias=bias
    )


def ranges(count: int, size: int) -> Iterator[slice]:
    """Covers `count` positions in order, `size` at a time."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def tile_logits(device: torch.device) -> int:
    """Logits per tile; see `TILE_LOGITS`."""
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    return TILE_LOGITS.get(device.type, TILE_LOGITS["cpu"]) * threads


def accumulate(total: Tensor, gradient: Tensor, hidden: Tensor, scale: float) -> None:
    """`total += scale · gradientᵀ hidden` for `[V, H]`, `[n, V]`, `[n, H]`; the sum is in total's dtype."""
    if total.dtype == gradient.dtype:
        total.addmm_(gradient.t(), hidden, alpha=scale)
    elif total.is_cuda:
        if isinstance(total, FakeTensor):
            return  # in place, so a rehearsal counts nothing; and torch 2.11 cannot run it without numbers
        torch.addmm(total, gradient.t(), hidden, out_dtype=total.dtype, alpha=scale, out=total)
    else:
        # On a CPU no product of halves gives float32, and rounding that of each chunk made the sum's error up
        # to 1.2 times the plain form's. In float32 this one product takes 1.1 to 2 times as long.
        wide = hidden.to(total.dtype)
        for rows in ranges(len(total), ROWS_AT_ONCE):
            total[rows].addmm_(gradient[:, rows].to(total.dtype).t(), wide, alpha=scale)
