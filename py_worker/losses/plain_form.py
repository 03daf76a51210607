"""The plain form of a chunk: objectives as they are written, and autograd through logits `[n, V]`."""

import torch
from torch import Tensor

from py_worker.losses.diagnostics import add_part_diagnostics
from py_worker.losses.returns import policy_loss
from py_worker.losses.scored import Piece, ScoredBatch
from py_worker.losses.student_step import StudentStep
from py_worker.losses.terms import frozen_logits, term_chunk


class PlainForm:
    """See `ChunkForm`. The head's gradient accumulates on its weight."""

    def __init__(self, step: StudentStep) -> None:
        self._step = step

    def backward(self, micro: ScoredBatch, piece: Piece, hidden: Tensor, offset: int, out: Tensor) -> None:
        """See `ChunkForm`."""
        leaf = hidden.detach().requires_grad_()
        total = self._total(micro, piece, leaf, offset)
        if total is not None:
            torch.autograd.backward(total, self._step.loss_scale)
        if leaf.grad is not None:
            out.copy_(leaf.grad)

    def finish(self) -> None:
        """Nothing is left to do."""

    def _total(self, micro: ScoredBatch, piece: Piece, leaf: Tensor, offset: int) -> Tensor | None:
        step, terms = self._step, self._step.terms_of(piece)
        where = slice(piece.start, piece.stop)
        student_logits = step.student.logits(leaf)
        teacher_logits = None
        if step.diagnostics or any(bound.objective.needs_teacher for bound in terms):
            teacher_logits = frozen_logits(step.teacher, micro.teacher_hidden, where)
        if step.diagnostics and teacher_logits is not None:
            add_part_diagnostics(step.sums, piece.part, student_logits, teacher_logits)
        total = None
        for bound in terms:
            chunk = term_chunk(bound, micro, where, leaf, student_logits, teacher_logits)
            steps = micro.batch.positions().step[where]
            losses = bound.loss(chunk)
            step.sums.add(f"loss_{bound.term.name}", bound.discounted(losses, steps))
            if bound.term.returns is not None:
                advantages = step.advantages[bound.term.name].at(
                    slice(offset + piece.start, offset + piece.stop)
                )
                losses = policy_loss(losses, chunk.log_prob, advantages, bound.term.returns)
            weighted = bound.discounted(losses, steps).sum() * bound.factor
            total = weighted if total is None else total + weighted
        return total
