"""One descent step of the student on the weighted sum of terms."""

import contextlib
import dataclasses

from torch import Tensor

from py_worker.data.batch import TokenBatch
from py_worker.losses.driver import student_backward
from py_worker.losses.scored import ScoredBatch
from py_worker.models.lora import adapter_dropout, adapter_parameters
from py_worker.ops.support.halving import until_it_fits
from py_worker.ops.support.specs import given, term_of
from py_worker.protocol_gen import StepStudentArgs, StepStudentResult
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError
from py_worker.session.held import require_part, scored_bytes
from py_worker.session.session import Session


def run(session: Session, args: StepStudentArgs, context: OperationContext) -> StepStudentResult:
    """The update is the commit point; one that is not finite is skipped on the device."""
    batch = session.handles.get(args.batch, ScoredBatch).batch
    student, optimizer = session.trained("student")
    for term in args.terms:
        require_part(batch, term.part, f"terms: {term.name!r}")

    def compute(scored: ScoredBatch, chunk_size: int | None) -> dict[str, Tensor]:
        return _gradient(session, args, context, scored, chunk_size)

    discard = optimizer.discard_gradients
    try:
        fitted = until_it_fits(
            session, args.batch, context, compute, passes=True, chunks=True, discard=discard
        )
        context.commit()
        fitted.adopt(session, args.batch, context)
        student.version += 1
        metrics = fitted.result | optimizer.step(lr=args.lr, clip_norm=args.clip_norm)
    finally:
        discard()
        # Before the update a graph may be half used up, and its values are still right: a repetition runs the
        # student again. From the update on they are those of older weights.
        _keep_hidden(session, args.batch, detached=not context.applied)
    session.metrics.record_all(args.step, metrics)
    session.metrics.record_all(args.step, _lengths(batch))
    return StepStudentResult(policy_version=student.version)


def _gradient(
    session: Session,
    args: StepStudentArgs,
    context: OperationContext,
    scored: ScoredBatch,
    chunk_size: int | None,
) -> dict[str, Tensor]:
    teacher, (student, optimizer) = session.roles.get("teacher"), session.trained("student")
    hidden = scored.student_hidden
    critics = {name: session.critic(name).for_student for term in args.terms if (name := given(term.critic))}
    with _dropout(session, args, scored):
        return student_backward(
            student.policy,
            scored,
            [term_of(term) for term in args.terms],
            teacher=None if teacher is None else teacher.policy,
            critics=critics,
            reuse_graph=hidden is not None and hidden.requires_grad,
            chunk_size=chunk_size,
            form=session.configured().loss_form,
            diagnostics=args.diagnostics,
            loss_scale=None if optimizer.loss_scale is None else optimizer.loss_scale.value,
            tick=context.check,
        )


def _dropout(
    session: Session, args: StepStudentArgs, scored: ScoredBatch
) -> contextlib.AbstractContextManager[None]:
    seed, module = given(args.dropout_seed), session.role("student").policy.module
    if seed is None:
        return contextlib.nullcontext()
    if not adapter_parameters(module):
        raise ArgumentError("dropout_seed: the student has no adapters; load it with lora, or leave it out")
    if scored.student_hidden is not None and scored.student_hidden.requires_grad:
        raise ArgumentError(
            "dropout_seed: the batch was scored with the student's graph, which has no dropout; score it "
            "with student: values"
        )
    return adapter_dropout(module, seed)


def _keep_hidden(session: Session, name: str, *, detached: bool) -> None:
    """Keeps the student's hidden states without their graph, or lets them go."""
    scored = session.handles.get(name, ScoredBatch)
    hidden = scored.student_hidden
    if hidden is not None:
        kept = dataclasses.replace(scored, student_hidden=hidden.detach() if detached else None)
        session.handles.replace(name, kept, scored_bytes(kept))


def _lengths(batch: TokenBatch) -> dict[str, float]:
    """`length_PART`: mean response tokens of a row."""
    tokens, parts = ScoredBatch(batch).token_counts(), batch.parts
    return {f"length_{part}": tokens[part] / parts.count(part) for part in sorted(set(parts))}
