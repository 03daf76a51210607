"""Advantages of every response, by a pass over the whole step before the student's own, without gradient.

Returns and baselines need all rows at once, which a micro-batch does not have. Costs come from the student's
hidden states as they were scored: by the same weights as in the gradient's own pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from py_worker.data.batch import TokenBatch
from py_worker.losses.objectives import Chunk
from py_worker.losses.returns import Advantages, Returns, estimate
from py_worker.losses.scored import ScoredBatch
from py_worker.losses.terms import BoundTerm, frozen_logits, term_chunk
from py_worker.models.policy import Policy


@dataclass(frozen=True)
class _Costs:
    """What a term with returns needs to know of its positions, gathered a range at a time."""

    bound: BoundTerm
    returns: Returns
    ranges: list[slice] = field(default_factory=list)
    costs: list[Tensor] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    log_probs: list[Tensor] = field(default_factory=list)

    def add(self, where: slice, chunk: Chunk) -> None:
        self.ranges.append(where)
        sample = self.bound.objective.sample if self.returns.sampled else None
        if sample is None:
            self.costs.append(self.bound.loss(chunk))
        else:
            self.costs.append(sample(chunk, self.bound.params))
            if self.returns.means_losses:
                self.losses.append(self.bound.loss(chunk))
        if self.returns.importance != "none":
            self.log_probs.append(chunk.log_prob)

    def advantages(self, batch: TokenBatch) -> tuple[Advantages, dict[str, Tensor]]:
        """Over all positions of the batch; 0 at those of other parts."""
        positions = batch.positions()
        width = max(positions.counts)
        place = positions.row * width + positions.step
        own = torch.cat([place[where] for where in self.ranges])

        def grid(values: Tensor) -> Tensor:
            return values.new_zeros(len(batch) * width).index_copy(0, own, values).view(-1, width)

        log_ratio = None
        if self.log_probs and positions.log_prob is not None:
            drawn = torch.cat([positions.log_prob[where] for where in self.ranges])
            log_ratio = grid(torch.cat(self.log_probs) - drawn)
        mask = grid(torch.ones_like(own, dtype=torch.bool))
        losses = grid(torch.cat(self.losses)) if self.losses else None
        costs, gamma = grid(torch.cat(self.costs)), self.bound.term.gamma
        found, metrics = estimate(costs, log_ratio, mask, gamma, self.returns, losses=losses)
        weight = None if found.weight is None else found.weight.reshape(-1)[place]
        return Advantages(found.advantage.reshape(-1)[place], weight), metrics


@torch.no_grad()
def step_advantages(
    terms: Sequence[BoundTerm],
    scored: ScoredBatch,
    *,
    student: Policy,
    teacher: Policy | None,
    chunk_size: int,
    tick: Callable[[], None],
) -> tuple[dict[str, Advantages], dict[str, Tensor]]:
    """Advantages of the terms that have returns.

    Args:
        terms: all terms of the step.
        scored: all rows of the step, with the student's hidden states where a term has returns.
        student: whose head gives `π_θ`.
        teacher: whose head gives `π*`.
        chunk_size: positions per chunk.
        tick: called before each chunk; may raise to stop.

    Returns:
        By name of the term, advantages `[N]` at all positions of the batch; and metrics as device scalars,
        `NAME_TERM` for the names of `returns.estimate`. Terms whose part has no tokens are left out.
    """
    gathered = [_Costs(bound, returns) for bound in terms if (returns := bound.term.returns) is not None]
    hidden = scored.student_hidden
    if not gathered or hidden is None:
        return {}, {}
    for piece in scored.pieces(chunk_size):
        covering = [costs for costs in gathered if costs.bound.covers(piece.part)]
        if not covering:
            continue
        tick()
        where = slice(piece.start, piece.stop)
        needs_teacher = any(costs.bound.objective.needs_teacher for costs in covering)
        teacher_logits = frozen_logits(teacher, scored.teacher_hidden, where) if needs_teacher else None
        states = hidden[where]
        student_logits = student.logits(states)
        for costs in covering:
            chunk = term_chunk(costs.bound, scored, where, states, student_logits, teacher_logits)
            costs.add(where, chunk)
    advantages: dict[str, Advantages] = {}
    metrics: dict[str, Tensor] = {}
    for costs in gathered:
        if costs.ranges:
            name = costs.bound.term.name
            advantages[name], of_term = costs.advantages(scored.batch)
            metrics |= {f"{metric}_{name}": value for metric, value in of_term.items()}
    return advantages, metrics
