"""One pass of a fused loss over its positions: losses, log-probabilities, and the gradients wanted."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from py_worker.losses.analytic import TileInputs, TileLoss, TileResult
from py_worker.losses.head_pass import HeadPass, ranges
from py_worker.models.head import OutputHead


class Upstream(NamedTuple):
    """Gradient of the final scalar in each loss `[N]` and, or None for 0, in each log-probability `[N]`."""

    loss: Tensor
    log_prob: Tensor | None = None


class Wanted(NamedTuple):
    """Which gradients a pass is to compute."""

    hidden: bool = False
    weight: bool = False
    bias: bool = False


@dataclass(frozen=True)
class Constants:
    """What a pass needs besides the student, none of it with a gradient.

    Attributes:
        loss: of a tile.
        teacher: its head.
        teacher_hidden: [N, H_teacher], in the head's dtype; None where the loss needs no teacher.
        values: a critic's `[n, V]` at a range of positions, or None.
        finish: what is still to be done to values with the teacher's logits, a tile at a time, or None.
        tokens: [N] int64, or None.
        chunk_size: positions whose logits are held at once.
        gradient: a loss with the same gradients that needs no teacher, or None; its value is not theirs.
    """

    loss: TileLoss
    teacher: OutputHead
    teacher_hidden: Tensor | None
    values: Callable[[slice], Tensor] | None = None
    finish: Callable[[Tensor, Tensor | None], Tensor] | None = None
    tokens: Tensor | None = None
    chunk_size: int = 256
    gradient: TileLoss | None = None

    def of_gradients(self) -> "Constants":
        """For a pass whose losses nobody wants: where it can be, without the teacher's logits."""
        return self if self.gradient is None else replace(self, loss=self.gradient, teacher_hidden=None)

    def dtype(self, student_weight: Tensor) -> torch.dtype:
        """Dtype of the losses: at least float32."""
        wide = torch.promote_types(student_weight.dtype, torch.float32)
        return torch.promote_types(wide, self.teacher.weight.dtype)


@dataclass
class PositionPass:
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
    def run(self) -> "PositionPass":
        """Goes through all positions once."""
        self._allocate()
        constants = self.constants
        heads = HeadPass(
            self.student,
            constants.teacher,
            chunk_size=min(constants.chunk_size, len(self.inputs)),
            weight=self.weight,
            bias=self.bias,
        )
        for where in ranges(len(self.inputs), constants.chunk_size):
            hidden = None if self.hidden is None else self.hidden[where]
            tile = self._tile_function(where)
            teacher = None if constants.teacher_hidden is None else constants.teacher_hidden[where]
            heads.chunk(self.inputs[where], teacher, tile, hidden)
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

    def _tile_function(self, chunk: slice) -> Callable[[slice, Tensor, Tensor | None], Tensor | None]:
        """Tile function of one chunk, which fills in its losses."""
        constants, upstream = self.constants, self.upstream
        values = None if constants.values is None else constants.values(chunk)

        def tile(within: slice, student: Tensor, teacher: Tensor | None) -> Tensor | None:
            at = slice(chunk.start + within.start, chunk.start + within.stop)
            inputs = TileInputs(
                upstream.loss[at],
                None if values is None else values[within],
                None if constants.tokens is None else constants.tokens[at],
                None if upstream.log_prob is None else upstream.log_prob[at],
            )
            found = _tile_result(constants, self.student, student, teacher, inputs)
            self.loss[at] = found.loss
            if self.log_prob is not None and found.log_prob is not None:
                self.log_prob[at] = found.log_prob
            return found.gradient if any(self.wanted) else None

        return tile


def _tile_result(
    constants: Constants,
    student: OutputHead,
    student_projected: Tensor,
    teacher_projected: Tensor | None,
    inputs: TileInputs,
) -> TileResult:
    """Losses of a tile, and the gradient in the student's projections `h Wᵀ` before scale and bias.

    The scale, and it alone, is left out of the gradient: it is cheaper on what the projections lead to.
    """
    student_logits = student.finish(student_projected)
    teacher_logits = None if teacher_projected is None else constants.teacher.finish(teacher_projected)
    dtype = constants.dtype(student.weight)
    if constants.finish is not None and inputs.values is not None:
        inputs = inputs._replace(values=constants.finish(inputs.values, teacher_logits))
    teacher_logits = None if teacher_logits is None else teacher_logits.to(dtype)
    found = constants.loss(student_logits.to(dtype), teacher_logits, inputs)
    student.uncap_(found.gradient, student_logits)
    return found
