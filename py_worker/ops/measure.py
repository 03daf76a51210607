"""Means of objectives over the dataset's own responses, row by row, with teacher forcing."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from py_worker.data.batch import TokenBatch
from py_worker.data.dataset import TokenizedRow
from py_worker.data.layout import lay_out
from py_worker.data.row import Row
from py_worker.losses.head_pass import positions_at_once
from py_worker.losses.objectives import Chunk, Objective, find_objective
from py_worker.losses.scored import ScoredBatch, score_batch
from py_worker.models.errors import ModelError
from py_worker.models.policy import Policy
from py_worker.ops.support.chunk_size import chunk_size, shorter_chunks
from py_worker.ops.support.halving import repeat_smaller
from py_worker.ops.support.specs import given, limits_of
from py_worker.protocol_gen import MeasureArgs, MeasureResult
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError
from py_worker.session.session import Halvings, Session


def run(session: Session, args: MeasureArgs, context: OperationContext) -> MeasureResult:
    """A row without response tokens has the value 0 and counts 0 tokens.

    Without metrics the tokens are counted, and no model runs. Where memory runs out all is measured again in
    smaller pieces, as what is measured later; training, which may have room, is not cut for that.
    """
    objectives = _objectives(args.metrics)
    policy = session.role(args.role).policy
    needs_teacher = any(objective.needs_teacher for objective in objectives)
    teacher = session.role("teacher").policy if needs_teacher else None
    for measured in (policy, teacher) if given(args.packing) else ():
        if measured is not None:
            measured.require_packing()
    dataset = session.rows_of(args.dataset, args.rows)
    rows = [dataset.row(row) for row in args.rows]

    def measured_by(halvings: Halvings) -> MeasureResult:
        positions = positions_at_once(policy, chunk_size(session, halvings))
        values: dict[str, dict[int, float]] = {objective.name: {} for objective in objectives}
        counts: dict[int, int] = {}
        for batch in _batches(session, args, rows, halvings):
            counts |= dict(zip(batch.sample_ids, batch.positions().counts, strict=True))
            if not objectives:
                continue
            scored = score_batch(batch, teacher=teacher, student=policy, tick=context.check)
            means = _row_means(scored, policy, teacher, objectives, positions).tolist()
            for objective, row_means in zip(objectives, means, strict=True):
                values[objective.name] |= dict(zip(batch.sample_ids, row_means, strict=True))
        order = range(len(rows))
        return MeasureResult(
            values={name: [by_index[index] for index in order] for name, by_index in values.items()},
            tokens=[counts[index] for index in order],
        )

    def halved(halvings: Halvings) -> Halvings | None:
        if any(len(places) > 1 for places in _layout(session, args, rows, halvings)):
            return dataclasses.replace(halvings, micro_batch=halvings.micro_batch + 1)
        return shorter_chunks(session, halvings, max(len(row.response) for row in rows))

    training, own = session.halvings, session.measure_halvings
    begin = Halvings(
        max(training.micro_batch, own.micro_batch), max(training.position_chunk, own.position_chunk)
    )
    result, session.measure_halvings = repeat_smaller(begin, measured_by, halved, context, session.device)
    _require_finite(args, result.values)
    return result


def _objectives(names: list[str]) -> list[Objective]:
    objectives = [find_objective(name) for name in dict.fromkeys(names)]
    for objective in objectives:
        if objective.needs_critic:
            raise ArgumentError(f"metrics: {objective.name!r} needs a critic and cannot be measured")
    return objectives


def _layout(
    session: Session, args: MeasureArgs, rows: Sequence[TokenizedRow], halvings: Halvings
) -> list[list[int]]:
    """Places in `rows`, by micro-batch."""
    lengths = [(len(row.prompt), len(row.response)) for row in rows]
    limits = limits_of(args, halvings.micro_batch)
    return lay_out(lengths, ["all"] * len(rows), limits, apart=session.role(args.role).policy.has_encoder)


def _batches(
    session: Session, args: MeasureArgs, rows: Sequence[TokenizedRow], halvings: Halvings
) -> Iterator[TokenBatch]:
    """Micro-batches; the sample id is the place in `rows`."""
    policy = session.role(args.role).policy
    for places in _layout(session, args, rows, halvings):
        chosen = [Row(rows[place].prompt, rows[place].response, place, "all") for place in places]
        yield policy.collate(chosen, packed=bool(given(args.packing)))


@torch.no_grad()
def _row_means(
    scored: ScoredBatch, policy: Policy, teacher: Policy | None, objectives: list[Objective], chunk_size: int
) -> Tensor:
    """[objectives, B] on the device."""
    positions = scored.batch.positions()
    hidden = scored.student_hidden
    sums = torch.zeros(len(objectives), len(scored.batch), dtype=torch.float64, device=policy.device)
    for piece in scored.pieces(chunk_size):
        where = slice(piece.start, piece.stop)
        student_logits = policy.logits(_slice(hidden, where))
        teacher_logits = None if teacher is None else teacher.logits(_slice(scored.teacher_hidden, where))
        chunk = Chunk(student_logits, teacher_logits, positions.target[where])
        for index, objective in enumerate(objectives):
            loss = objective.loss(chunk, objective.parameters({}))
            sums[index].index_add_(0, positions.row[where], loss.to(torch.float64))
    counts = torch.tensor(positions.counts, dtype=torch.float64, device=policy.device)
    return sums / counts.clamp(min=1.0)


def _require_finite(args: MeasureArgs, values: dict[str, list[float]]) -> None:
    """The contract has no infinite figures here, and a diverged model needs to be told plainly."""
    for name, row_values in values.items():
        for row, value in zip(args.rows, row_values, strict=True):
            if not math.isfinite(value):
                raise ModelError(
                    f"the {args.role}'s {name} of row {row} is {value}: its weights have diverged"
                )


def _slice(hidden: Tensor | None, where: slice) -> Tensor:
    if hidden is None:
        raise AssertionError("the batch was scored with every policy that is measured")
    return hidden[where]
