"""The fused form of a chunk: gradients in the logits by formula, a tile at a time, for all terms at once.

No graph, and of a chunk's size only a critic's values: two buffers of projections `[chunk, V]` serve all
chunks. The head's gradient is summed in float32 over the whole step, whatever the dtype of its weight.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from py_worker.losses.analytic import TileInputs, TileLoss, cross_entropy_loss
from py_worker.losses.diagnostics import add_part_diagnostics
from py_worker.losses.head_pass import HeadPass, constant_head
from py_worker.losses.loss_form import TileForm, in_form
from py_worker.losses.returns import surrogate_slopes
from py_worker.losses.scored import Piece, ScoredBatch
from py_worker.losses.student_step import StudentStep
from py_worker.losses.terms import BoundTerm
from py_worker.models.critics.critic import Critic


@dataclass(frozen=True)
class _TermChunk:
    """One term at the `n` positions of a chunk.

    Attributes:
        bound: the term.
        loss: its loss by formula.
        token_loss: minus the log-probability of the token, with the same arithmetic.
        losses: [n], filled in tile by tile.
        of_loss: [n], gradient of the step's scalar in each loss.
        of_log_prob: [n], likewise in `log π_θ(y_t)` besides, for returns; None is 0.
        values: [n, V] that its critic's head gave, or None.
    """

    bound: BoundTerm
    loss: TileLoss
    token_loss: TileLoss
    losses: Tensor
    of_loss: Tensor
    of_log_prob: Tensor | None
    values: Tensor | None

    def tile(self, at: slice, student: Tensor, teacher: Tensor | None, targets: Tensor) -> Tensor:
        """Gradient `[m, V]` in the student's logits at a range of the chunk; keeps the losses there."""
        values, critic = self.values, self.bound.critic
        if values is not None and critic is not None:
            values = critic.values_of(values[at], teacher)
        tokens = targets[at] if self.bound.objective.reads_target else None
        found = self.loss(student, teacher, TileInputs(self.of_loss[at], values, tokens))
        self.losses[at] = found.loss
        if self.of_log_prob is None:
            return found.gradient
        inputs = TileInputs(-self.of_log_prob[at], tokens=targets[at])
        return found.gradient.add_(self.token_loss(student, None, inputs).gradient)


class FusedForm:
    """See `ChunkForm`. Made for one step, of terms that all have a `TileLoss`.

    Args:
        step: the step.
        positions: of its largest micro-batch; the buffers need no room for more.
        tile_form: how a term's arithmetic is done.
    """

    def __init__(self, step: StudentStep, positions: int, tile_form: TileForm = "fused") -> None:
        self._step, self._tile_form = step, tile_form
        self._positions = min(step.chunk_size, positions)
        self._head = constant_head(step.student)
        self._teacher = None if step.teacher is None else constant_head(step.teacher)
        self._totals: dict[str, _Total] = {}

    @cached_property
    def _heads(self) -> HeadPass:
        """Made with the first chunk: a step without any leaves no gradient, not even of 0."""
        head = self._step.student.head
        for name, parameter in (("weight", head.weight), ("bias", head.bias)):
            if parameter is not None and parameter.requires_grad:
                self._totals[name] = _Total(parameter, head.vocab_size)
        weight, bias = (None if t is None else t.sum for t in map(self._totals.get, ("weight", "bias")))
        return HeadPass(
            self._head,
            self._teacher,
            chunk_size=self._positions,
            weight=weight,
            bias=bias,
        )

    def backward(self, micro: ScoredBatch, piece: Piece, hidden: Tensor, offset: int, out: Tensor) -> None:
        """See `ChunkForm`."""
        step, where = self._step, slice(piece.start, piece.stop)
        at_step = slice(offset + piece.start, offset + piece.stop)
        positions = micro.batch.positions()
        steps, targets = positions.step[where], positions.target[where]
        terms = [self._term(bound, micro, where, at_step, hidden, steps) for bound in step.terms_of(piece)]
        states = None
        if step.diagnostics or any(one.bound.objective.needs_teacher for one in terms):
            assert micro.teacher_hidden is not None and self._teacher is not None
            states = micro.teacher_hidden[where].to(self._teacher.weight.dtype)
        inputs = hidden.to(self._head.weight.dtype)
        gradient = out if out.dtype == inputs.dtype else torch.empty_like(inputs)
        self._heads.chunk(inputs, states, self._tile(piece, terms, targets), gradient)
        if gradient is not out:
            out.copy_(gradient)
        for one in terms:
            losses = one.bound.discounted(one.losses, steps)
            step.sums.add(f"loss_{one.bound.term.name}", losses)

    def finish(self) -> None:
        """Hands the head's gradients over to its parameters."""
        for total in self._totals.values():
            total.hand_over()

    def _term(
        self,
        bound: BoundTerm,
        micro: ScoredBatch,
        where: slice,
        at_step: slice,
        hidden: Tensor,
        steps: Tensor,
    ) -> _TermChunk:
        assert bound.analytic is not None
        dtype = torch.promote_types(hidden.dtype, torch.float32)
        scale = self._step.loss_scale
        slope = hidden.new_full((len(hidden),), bound.factor, dtype=dtype)
        slope = bound.discounted(slope if scale is None else slope * scale, steps)
        of_loss, of_log_prob = slope, None
        if bound.term.returns is not None:
            advantages = self._step.advantages[bound.term.name].at(at_step)
            of_loss, of_log_prob = (s * slope for s in surrogate_slopes(advantages, bound.term.returns))
        losses = torch.empty_like(slope)
        values = None if bound.critic is None else _raw_values(bound.critic, micro, where, hidden)
        loss, token_loss = (in_form(one, self._tile_form) for one in (bound.analytic, cross_entropy_loss))
        return _TermChunk(bound, loss, token_loss, losses, of_loss, of_log_prob, values)

    def _tile(
        self, piece: Piece, terms: list[_TermChunk], targets: Tensor
    ) -> Callable[[slice, Tensor, Tensor | None], Tensor | None]:
        step, head = self._step, self._head

        def tile(at: slice, student: Tensor, teacher: Tensor | None) -> Tensor | None:
            logits = head.finish(student)
            of_teacher = None
            if teacher is not None and self._teacher is not None:
                of_teacher = self._teacher.finish(teacher)
                dtype = torch.promote_types(logits.dtype, of_teacher.dtype)
                logits, of_teacher = logits.to(dtype), of_teacher.to(dtype)
                if step.diagnostics:
                    add_part_diagnostics(step.sums, piece.part, logits, of_teacher)
            total: Tensor | None = None
            for one in terms:
                gradient = one.tile(at, logits, of_teacher, targets)
                total = gradient if total is None else total.add_(gradient)
            if total is not None:
                head.uncap_(total, logits)
            return total

        return tile


class _Total:
    """The sum of one parameter's gradient over a step, in float32 or wider.

    Attributes:
        parameter: of the head; rows that mean no token have no gradient.
        sum: [V, H] or [V].
    """

    def __init__(self, parameter: Tensor, rows: int) -> None:
        self.parameter = parameter
        self.sum = torch.zeros_like(
            parameter[:rows], dtype=torch.promote_types(parameter.dtype, torch.float32), requires_grad=False
        )

    def hand_over(self) -> None:
        """Adds the sum to the parameter's gradient."""
        parameter, total = self.parameter, self.sum
        if parameter.grad is None and parameter.shape == total.shape:
            parameter.grad = total.to(parameter.dtype)
            return
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad[: len(total)] += total.to(parameter.dtype)


@torch.no_grad()
def _raw_values(critic: Critic, micro: ScoredBatch, where: slice, hidden: Tensor) -> Tensor:
    if critic.spec.features == "student":
        return critic.raw(hidden)
    assert micro.teacher_hidden is not None
    return critic.raw(micro.teacher_hidden[where])
