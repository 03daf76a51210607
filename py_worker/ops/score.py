"""Runs the policies once over a batch and keeps their hidden states with it."""

import dataclasses

from py_worker.losses.scored import ScoredBatch, score_batch
from py_worker.models.policy import Policy
from py_worker.ops.support.halving import until_it_fits
from py_worker.protocol_gen import ScoreArgs, ScoreResult
from py_worker.session.context import OperationContext
from py_worker.session.held import scored_bytes
from py_worker.session.outcome import Late
from py_worker.session.session import Session
from py_worker.session.stopwatch import stopwatch_for


def run(session: Session, args: ScoreArgs, context: OperationContext) -> Late:
    """Replaces the hidden states asked for; those of an earlier score that are not asked for stay."""
    held = session.handles.get(args.batch, ScoredBatch)
    teacher = session.role("teacher").policy if args.teacher else None
    student = session.role("student").policy if args.student != "none" else None
    size = _size(held, teacher, student)
    session.handles.require_room(args.batch, size - session.handles.size_of(args.batch))
    watch = stopwatch_for(session.device)

    def compute(scored: ScoredBatch, _: int | None) -> ScoredBatch:
        if teacher is not None:
            by_teacher = score_batch(scored.batch, teacher=teacher, tick=context.check)
            scored = dataclasses.replace(scored, teacher_hidden=by_teacher.teacher_hidden)
        watch.lap("teacher")
        if student is not None:
            # Of a batch of one row there is one micro-batch, however often it is halved.
            graph = args.student == "graph" and session.halvings.micro_batch == 0
            by_student = score_batch(scored.batch, student=student, student_graph=graph, tick=context.check)
            scored = dataclasses.replace(scored, student_hidden=by_student.student_hidden)
        watch.lap("student")
        return scored

    del held  # A graph of an earlier score is freed where memory runs out.
    fitted = until_it_fits(session, args.batch, context, compute, passes=True, chunks=False)
    context.commit()
    session.handles.replace(args.batch, fitted.result, size)
    fitted.adopt(session, args.batch, context)
    hidden = fitted.result.student_hidden
    student_graph = student is not None and hidden is not None and hidden.requires_grad

    def finish() -> ScoreResult:
        laps = watch.laps_ms()
        return ScoreResult(
            teacher_ms=laps["teacher"], student_ms=laps["student"], student_graph=student_graph
        )

    return Late(finish)


def _size(scored: ScoredBatch, teacher: Policy | None, student: Policy | None) -> int:
    """Bytes that the batch will have, known before anything runs."""
    positions = sum(scored.batch.positions().counts)
    kept = ScoredBatch(
        scored.batch,
        scored.teacher_hidden if teacher is None else None,
        scored.student_hidden if student is None else None,
    )
    new = sum(
        positions * policy.hidden_size * policy.dtype.itemsize
        for policy in (teacher, student)
        if policy is not None
    )
    return scored_bytes(kept) + new
