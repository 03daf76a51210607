"""Backward of the student's objective over one optimizer step, a chunk of positions at a time.

Logits exist for one chunk only. Per chunk the hidden states are a detached leaf: its gradient goes into a
buffer, the head's gradient accumulates on the weight, and the body is run backward once per micro-batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from py_worker.losses.diagnostics import PART_DIAGNOSTICS, DeviceSums, add_part_diagnostics
from py_worker.losses.objectives import Chunk, Objective, find_objective
from py_worker.losses.scored import Piece, ScoredBatch
from py_worker.models.critic import Critic
from py_worker.models.policy import Policy

CHUNK_LOGITS = {"cpu": 2**24, "cuda": 2**27}
"""Logits held at once by default: 64 MiB in float32 on a CPU (341 positions of a vocabulary of 49,152), and
512 MiB on a GPU, where short chunks read the head's weight more often than they use it. A fixed table, never
a timing, because the size changes rounding."""


def default_chunk_size(vocab_size: int, device: torch.device | None = None) -> int:
    """Positions per chunk, at least 1; for the CPU unless a device is given."""
    kind = "cpu" if device is None else device.type
    return max(1, CHUNK_LOGITS.get(kind, CHUNK_LOGITS["cpu"]) // vocab_size)


@dataclass(frozen=True)
class Term:
    """One term of the student's objective: `weight` times the mean loss over its part's tokens.

    Attributes:
        name: in the metrics.
        objective: name in the registry of objectives.
        part: a part of the batch, or `all`.
        weight: factor of the mean.
        critic: name of the critic whose values the objective takes.
        params: parameters of the objective.
    """

    name: str
    objective: str
    part: str
    weight: float = 1.0
    critic: str | None = None
    params: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _BoundTerm:
    """A term with what its names stand for, and the tokens its mean is over."""

    term: Term
    objective: Objective
    params: Mapping[str, float]
    critic: Critic | None
    tokens: int

    def covers(self, part: str) -> bool:
        return self.term.part in ("all", part)


@dataclass(frozen=True)
class _Step:
    student: Policy
    teacher: Policy | None
    terms: tuple[_BoundTerm, ...]
    chunk_size: int
    diagnostics: bool
    sums: DeviceSums


def student_backward(
    student: Policy,
    scored: ScoredBatch,
    terms: Sequence[Term],
    *,
    teacher: Policy | None = None,
    critics: Mapping[str, Critic] | None = None,
    micro_batch: int = 0,
    reuse_graph: bool = False,
    token_counts: Mapping[str, int] | None = None,
    chunk_size: int | None = None,
    diagnostics: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Tensor]:
    """Accumulates the gradient of `Σ weight · mean loss` on the student's parameters.

    Args:
        student: the policy that is trained.
        scored: all rows of the optimizer step; with the teacher's hidden states where a term needs them.
        terms: the objective.
        teacher: whose head turns its hidden states into logits.
        critics: by the names that terms use; they are constants here.
        micro_batch: rows per forward and backward of the body, 0 for all. Changes nothing but rounding.
        reuse_graph: take `scored.student_hidden`, scored with its graph, instead of running the student
            again. The graph is used up.
        token_counts: tokens per part (and `all`) that the means are over; by default those of `scored`.
            Larger where the step is spread over processes.
        chunk_size: positions per chunk; see `default_chunk_size`.
        diagnostics: also sum how student and teacher differ, per part (needs the teacher's hidden states).
        tick: called before each micro-batch; may raise to stop.

    Returns:
        Device scalars. `loss`, and `loss_TERM` (mean per token, without the weight). For terms with a critic
        also `d_TERM`, the moment-matching distance: sum over time, mean over sequences. With diagnostics
        `NAME_PART` for the names of `PART_DIAGNOSTICS`, means per token.

    Raises:
        ValueError: a term that names what is not there, two terms of one name, or `reuse_graph` without a
            graph.
    """
    names = [term.name for term in terms]
    if len(set(names)) != len(names):
        raise ValueError(f"terms: a name is used twice in {', '.join(names)}; the metrics go by it")
    counts = token_counts or scored.token_counts()
    bound = tuple(_bind(term, scored, teacher, critics or {}, counts) for term in terms)
    size = chunk_size or default_chunk_size(student.vocab_size, student.device)
    observe = diagnostics and teacher is not None and scored.teacher_hidden is not None
    step = _Step(student, teacher, bound, size, observe, DeviceSums())
    if reuse_graph and (scored.student_hidden is None or not scored.student_hidden.requires_grad):
        raise ValueError("reuse_graph: the batch was not scored with the student's graph")
    if reuse_graph and 0 < micro_batch < len(scored.batch):
        raise ValueError("reuse_graph: the graph of one micro-batch cannot serve several")
    for micro in scored.split(micro_batch):
        tick()
        _micro_backward(step, micro, reuse_graph)
    return _metrics(step, scored)


def _bind(
    term: Term,
    scored: ScoredBatch,
    teacher: Policy | None,
    critics: Mapping[str, Critic],
    counts: Mapping[str, int],
) -> _BoundTerm:
    objective = find_objective(term.objective)
    if objective.needs_teacher and (teacher is None or scored.teacher_hidden is None):
        raise ValueError(
            f"term {term.name!r}: objective {term.objective!r} needs the teacher's hidden states; "
            "score the batch with the teacher first"
        )
    critic = None
    if objective.needs_critic:
        if term.critic is None or term.critic not in critics:
            known = ", ".join(sorted(critics)) or "none"
            raise ValueError(
                f"term {term.name!r}: needs a critic, names {term.critic!r}, and there is {known}"
            )
        critic = critics[term.critic]
    return _BoundTerm(term, objective, objective.parameters(term.params), critic, counts.get(term.part, 0))


def _micro_backward(step: _Step, micro: ScoredBatch, reuse_graph: bool) -> None:
    parts = set(micro.batch.parts)
    useful = any(bound.covers(part) for bound in step.terms for part in parts)
    if sum(micro.batch.positions().counts) == 0 or not (useful or step.diagnostics):
        return
    reused = micro.student_hidden if reuse_graph else None
    hidden = step.student.response_hidden(micro.batch) if reused is None else reused
    gradient = torch.zeros_like(hidden)
    for piece in micro.pieces(step.chunk_size):
        leaf = hidden[piece.start : piece.stop].detach().requires_grad_()
        _chunk_backward(step, micro, piece, leaf)
        if leaf.grad is not None:
            gradient[piece.start : piece.stop] = leaf.grad
    if hidden.requires_grad:
        torch.autograd.backward(hidden, gradient)


def _chunk_backward(step: _Step, micro: ScoredBatch, piece: Piece, leaf: Tensor) -> None:
    terms = [bound for bound in step.terms if bound.covers(piece.part)]
    if not terms and not step.diagnostics:
        return
    where = slice(piece.start, piece.stop)
    positions = micro.batch.positions()
    student_logits = step.student.logits(leaf)
    teacher_logits = None
    if step.diagnostics or any(bound.objective.needs_teacher for bound in terms):
        teacher_logits = _frozen_logits(step.teacher, micro.teacher_hidden, where)
    if step.diagnostics and teacher_logits is not None:
        add_part_diagnostics(step.sums, piece.part, student_logits, teacher_logits)
    total = None
    for bound in terms:
        values = _critic_values(bound.critic, micro, leaf, where)
        chunk = Chunk(student_logits, teacher_logits, positions.target[where], values, positions.step[where])
        loss = bound.objective.loss(chunk, bound.params).sum()
        step.sums.add(f"loss_{bound.term.name}", loss)
        weighted = loss * (bound.term.weight / max(bound.tokens, 1))
        total = weighted if total is None else total + weighted
    if total is not None:
        torch.autograd.backward(total)


@torch.no_grad()
def _frozen_logits(policy: Policy | None, hidden: Tensor | None, where: slice) -> Tensor | None:
    return None if policy is None or hidden is None else policy.logits(hidden[where])


@torch.no_grad()
def _critic_values(critic: Critic | None, micro: ScoredBatch, leaf: Tensor, where: slice) -> Tensor | None:
    if critic is None:
        return None
    if critic.spec.features == "student":
        return critic.values(leaf)
    return None if micro.teacher_hidden is None else critic.values(micro.teacher_hidden[where])


def _metrics(step: _Step, scored: ScoredBatch) -> dict[str, Tensor]:
    tokens, sequences = scored.token_counts(), scored.sequence_counts()
    metrics: dict[str, Tensor] = {}
    loss = torch.zeros((), device=step.student.device)
    for bound in step.terms:
        name, part = f"loss_{bound.term.name}", bound.term.part
        if name not in step.sums:
            continue
        metrics[name] = step.sums.mean(name, bound.tokens)
        loss = loss + bound.term.weight * metrics[name]
        if bound.critic is not None:
            metrics[f"d_{bound.term.name}"] = step.sums.mean(name, sequences.get(part, 0))
    for part in sorted(set(scored.batch.parts)) if step.diagnostics else ():
        for quantity in PART_DIAGNOSTICS:
            if f"{quantity}_{part}" in step.sums:
                metrics[f"{quantity}_{part}"] = step.sums.mean(f"{quantity}_{part}", tokens[part])
    return {"loss": loss, **metrics}
