"""A batch together with the last hidden states of the policies that were run over it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from py_worker.data.batch import TokenBatch
from py_worker.models.policy import Policy


@dataclass(frozen=True)
class Piece:
    """A range of flattened response positions that belong to one part."""

    part: str
    start: int
    stop: int


@dataclass(frozen=True)
class ScoredBatch:
    """Hidden states at the batch's response positions, `N` of them, row after row.

    Attributes:
        batch: the tokens.
        teacher_hidden: [N, H_teacher] without graph, or None.
        student_hidden: [N, H_student], or None. With a graph when scored so.
    """

    batch: TokenBatch
    teacher_hidden: Tensor | None = None
    student_hidden: Tensor | None = None

    def micro_batches(self) -> "list[ScoredBatch]":
        """The micro-batches of `batch`, in order, each with its states."""
        micro_batches, start = [], 0
        for batch in self.batch.micro_batches():
            stop = start + sum(batch.positions().counts)
            hidden = (h if h is None else h[start:stop] for h in (self.teacher_hidden, self.student_hidden))
            micro_batches.append(ScoredBatch(batch, *hidden))
            start = stop
        return micro_batches

    def pieces(self, chunk_size: int) -> Iterator[Piece]:
        """Covers all positions in order by ranges of one part and at most `chunk_size` positions.

        Rows of one part that are neighbours share a range, so batches that keep parts together run fastest.
        """
        runs: list[tuple[str, int]] = []
        for part, count in zip(self.batch.parts, self.batch.response_counts, strict=True):
            if runs and runs[-1][0] == part:
                runs[-1] = (part, runs[-1][1] + count)
            else:
                runs.append((part, count))
        start = 0
        for part, count in runs:
            for offset in range(0, count, chunk_size):
                yield Piece(part, start + offset, start + min(offset + chunk_size, count))
            start += count

    def token_counts(self) -> dict[str, int]:
        """Response tokens of each part, and of `all`."""
        return self._sums([*self.batch.response_counts])

    def sequence_counts(self) -> dict[str, int]:
        """Rows with at least one response token, of each part and of `all`."""
        return self._sums([int(count > 0) for count in self.batch.response_counts])

    def _sums(self, values: list[int]) -> dict[str, int]:
        sums = {"all": sum(values)}
        for part, value in zip(self.batch.parts, values, strict=True):
            sums[part] = sums.get(part, 0) + value
        return sums


def score_batch(
    batch: TokenBatch,
    *,
    teacher: Policy | None = None,
    student: Policy | None = None,
    student_graph: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> ScoredBatch:
    """Runs the given policies once over a batch, a micro-batch at a time.

    Args:
        batch: the tokens.
        teacher: run without gradients.
        student: run without gradients, unless `student_graph`.
        student_graph: keep the student's graph, so that its backward pass needs no second forward; only of a
            batch that is one micro-batch: those of several would be held all at once.
        tick: called before each pass over a micro-batch; may raise to stop.
    """
    micro_batches = batch.micro_batches()

    def hidden(policy: Policy, micro: TokenBatch) -> Tensor:
        tick()
        return policy.response_hidden(micro)

    def run(policy: Policy | None, graph: bool) -> Tensor | None:
        if policy is None:
            return None
        with policy.resident(), torch.set_grad_enabled(graph):
            return torch.cat([hidden(policy, micro) for micro in micro_batches])

    return ScoredBatch(batch, run(teacher, False), run(student, student_graph and len(micro_batches) == 1))
