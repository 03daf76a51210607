"""What the student's step is made of, and what a form of a chunk of positions must do with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from py_worker.losses.diagnostics import DeviceSums
from py_worker.losses.returns import Advantages
from py_worker.losses.scored import Piece, ScoredBatch
from py_worker.losses.terms import BoundTerm
from py_worker.models.policy import Policy


@dataclass(frozen=True)
class StudentStep:
    """One optimizer step.

    Attributes:
        student: the policy that is trained.
        teacher: whose head gives `π*`, or None.
        terms: of the objective.
        advantages: by name, of the terms with returns, at all positions of the step.
        chunk_size: positions whose logits exist at a time.
        diagnostics: also sum how student and teacher differ.
        sums: of the metrics.
        loss_scale: what the gradient is multiplied by; None is 1.
    """

    student: Policy
    teacher: Policy | None
    terms: tuple[BoundTerm, ...]
    advantages: Mapping[str, Advantages]
    chunk_size: int
    diagnostics: bool
    sums: DeviceSums
    loss_scale: Tensor | None

    def terms_of(self, piece: Piece) -> list[BoundTerm]:
        """Terms that count at a piece's positions."""
        return [bound for bound in self.terms if bound.covers(piece.part)]


class ChunkForm(Protocol):
    """A way to compute losses and gradients of one chunk of positions: plain or fused (`loss_form`)."""

    def backward(self, micro: ScoredBatch, piece: Piece, hidden: Tensor, offset: int, out: Tensor) -> None:
        """Writes the gradient in the student's hidden states and adds that in the head's parameters.

        Args:
            micro: the micro-batch that `piece` counts in.
            piece: the positions, `n` of them.
            hidden: [n, H], the student's states there, without graph.
            offset: positions of the step before this micro-batch.
            out: [n, H], zeros.
        """
        ...

    def finish(self) -> None:
        """After the last chunk of the step."""
        ...
