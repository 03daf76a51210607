"""Backward of the student's objective over one optimizer step, a chunk of positions at a time.

Logits exist for one chunk only. The gradient in each chunk's hidden states goes into a buffer, that in the
head is summed up, and the body is run backward once per micro-batch. A chunk has two forms: `plain_form` is
the reference, `fused_form` the fast one.
Terms with returns need a pass over the whole step before (`advantages`).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from py_worker.losses.advantages import step_advantages
from py_worker.losses.diagnostics import PART_DIAGNOSTICS, DeviceSums
from py_worker.losses.errors import LossError
from py_worker.losses.fused_form import FusedForm
from py_worker.losses.head_pass import positions_at_once
from py_worker.losses.loss_form import LossForm, TileForm, check_form
from py_worker.losses.plain_form import PlainForm
from py_worker.losses.scored import ScoredBatch
from py_worker.losses.student_step import ChunkForm, StudentStep
from py_worker.losses.terms import Term, bind
from py_worker.models.critics.critic import Critic
from py_worker.models.policy import Policy

AUTO_FORMS: Mapping[str, TileForm] = {"cpu": "fused", "cuda": "fused"}
"""What `auto` is, by device. By token count there is nothing to choose: fused took 0.70 to 1.05 of plain's
time at 256 to 512 positions of 99 to 49,152 tokens (one core, float32), and up to its chunk size it is one
pass as well."""


def student_backward(
    student: Policy,
    scored: ScoredBatch,
    terms: Sequence[Term],
    *,
    teacher: Policy | None = None,
    critics: Mapping[str, Critic] | None = None,
    reuse_graph: bool = False,
    token_counts: Mapping[str, int] | None = None,
    chunk_size: int | None = None,
    diagnostics: bool = False,
    loss_scale: Tensor | None = None,
    form: LossForm = "auto",
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Tensor]:
    """Accumulates the gradient of `Σ weight · mean loss` on the student's parameters.

    Args:
        student: the policy that is trained.
        scored: all rows of the optimizer step, in micro-batches, which change nothing but rounding; with the
            teacher's hidden states where a term needs them, and the student's where a term has returns.
        terms: the objective.
        teacher: whose head turns its hidden states into logits.
        critics: by the names that terms use; they are constants here.
        reuse_graph: take `scored.student_hidden`, scored with its graph, instead of running the student
            again. The graph is used up.
        token_counts: tokens per part (and `all`) that the means are over; by default those of `scored`.
            Larger where the step is spread over processes.
        chunk_size: positions per chunk; see `positions_at_once`.
        diagnostics: also sum how student and teacher differ, per part (needs the teacher's hidden states).
        loss_scale: scalar that the gradient is multiplied by, so that float16 can hold it; None is 1.
        form: how losses are computed; see `LossForm`.
        tick: called before each micro-batch; may raise to stop.

    Returns:
        Device scalars. `loss`, and `loss_TERM` (mean per token of the discounted objective, without the
        weight; also for terms with returns, whose surrogate's value means nothing). For terms with a critic
        also `d_TERM`, the moment-matching distance: sum over time, mean over sequences. For terms with
        returns `NAME_TERM` for the names of `returns.estimate`. With diagnostics `NAME_PART` for the names of
        `PART_DIAGNOSTICS`, means per token.

    Raises:
        LossError: a term that names what is not there or asks for what cannot be, two terms of one name, a
            form that cannot run, or `reuse_graph` without a graph.
    """
    names = [term.name for term in terms]
    if len(set(names)) != len(names):
        raise LossError(f"terms: a name is used twice in {', '.join(names)}; the metrics go by it")
    counts = token_counts or scored.token_counts()
    bound = tuple(bind(term, scored, teacher, critics or {}, counts.get(term.part, 0)) for term in terms)
    if reuse_graph and (scored.student_hidden is None or not scored.student_hidden.requires_grad):
        raise LossError("reuse_graph: the batch was not scored with the student's graph")
    if reuse_graph and scored.batch.micro_rows is not None:
        raise LossError("reuse_graph: the graph of one micro-batch cannot serve several")
    size = positions_at_once(student, chunk_size)
    advantages, of_returns = step_advantages(
        bound, scored, student=student, teacher=teacher, chunk_size=size, tick=tick
    )
    observe = diagnostics and teacher is not None and scored.teacher_hidden is not None
    step = StudentStep(student, teacher, bound, advantages, size, observe, DeviceSums(), loss_scale)
    micro_batches = scored.micro_batches()
    chunks = _chunk_form(step, form, micro_batches)
    offset = 0
    for micro in micro_batches:
        tick()
        _micro_backward(step, chunks, micro, offset, reuse_graph)
        offset += sum(micro.batch.positions().counts)
    chunks.finish()
    return _metrics(step, scored) | of_returns


def _micro_backward(
    step: StudentStep, chunks: ChunkForm, micro: ScoredBatch, offset: int, reuse_graph: bool
) -> None:
    """`offset`: positions of the step before this micro-batch."""
    if sum(micro.batch.positions().counts) == 0 or not (step.diagnostics or _useful(step, micro)):
        return
    reused = micro.student_hidden if reuse_graph else None
    hidden = step.student.response_hidden(micro.batch) if reused is None else reused
    gradient = torch.zeros_like(hidden)
    for piece in micro.pieces(step.chunk_size):
        if step.diagnostics or step.terms_of(piece):
            where = slice(piece.start, piece.stop)
            chunks.backward(micro, piece, hidden[where].detach(), offset, gradient[where])
    if hidden.requires_grad:
        torch.autograd.backward(hidden, gradient)


def _useful(step: StudentStep, micro: ScoredBatch) -> bool:
    return any(bound.covers(part) for bound in step.terms for part in set(micro.batch.parts))


def _chunk_form(step: StudentStep, form: LossForm, micro_batches: Sequence[ScoredBatch]) -> ChunkForm:
    device = step.student.device
    form = AUTO_FORMS.get(device.type, "fused") if form == "auto" else form
    check_form(form, device)
    if form == "plain" or any(bound.objective.analytic is None for bound in step.terms):
        return PlainForm(step)
    positions = max(sum(micro.batch.positions().counts) for micro in micro_batches)
    return FusedForm(step, positions, form)


def _metrics(step: StudentStep, scored: ScoredBatch) -> dict[str, Tensor]:
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
