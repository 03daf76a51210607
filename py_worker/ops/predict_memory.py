"""Predicts what training as it is planned takes of the device's memory, at the peak of each phase."""

from msgspec import UNSET

from py_worker.data.layout import lay_out
from py_worker.data.longest import longest_rows
from py_worker.losses.rehearsal import MicroBatches, Rehearsal, RowLengths
from py_worker.ops.support import memory_phases
from py_worker.ops.support.chunk_size import chunk_size
from py_worker.ops.support.memory_phases import PlannedDraw, PlannedStep
from py_worker.ops.support.rollout_source import can_be_beside, rollout_source
from py_worker.ops.support.specs import given, limits_of, sampling_of, term_of
from py_worker.protocol_gen import (
    MemoryPhase,
    PlannedRollout,
    PredictMemoryArgs,
    PredictMemoryResult,
)
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError, code_of
from py_worker.session.session import Session

HALF = 0.5
"""Any share of the teacher between 0 and 1 takes the same memory."""


def run(session: Session, args: PredictMemoryArgs, context: OperationContext) -> PredictMemoryResult:
    """First what is known from sizes, then what a rehearsal shows, then what libraries take besides."""
    for role in session.roles.values() if given(args.packing) else ():
        role.policy.require_packing()
    planned, draws = _step(session, args), [_draw(session, rollout) for rollout in args.rollouts]
    always = memory_phases.always_held(session, planned)
    phases = memory_phases.known_phases(session, planned, always)
    available, missing = memory_phases.available_bytes(session), None
    if args.rehearse:
        context.check()
        try:
            phases = memory_phases.with_step(session, phases, planned)
            for draw in draws:
                context.check()
                phases = memory_phases.with_draw(session, phases, always, draw)
        except Exception as error:
            if hasattr(error, "code"):
                raise
            # Torch has several errors for operations that need the numbers of a fake tensor.
            why = (
                "memory ran out where the step was taken in earnest"
                if code_of(error) == "out_of_memory"
                else "not all can be rehearsed without numbers"
            )
            missing = f"{why}: {type(error).__name__}: {error}"
        else:
            context.check()
            if memory_phases.peak(phases) <= available:
                phases = memory_phases.with_overhead(session, phases, planned)
                if session.device.type == "cuda":  # Its first step loads kernels, which no allocator counts.
                    available = min(available, memory_phases.available_bytes(session))
    return PredictMemoryResult(
        phases=[
            MemoryPhase(name=name, items={str(item): size for item, size in items.items()})
            for name, items in phases.items()
        ],
        peak_bytes=memory_phases.peak(phases),
        available_bytes=available,
        missing=UNSET if missing is None else missing[:4096],
    )


def _step(session: Session, args: PredictMemoryArgs) -> PlannedStep:
    student, optimizer = session.trained("student")
    teacher = session.roles.get("teacher")
    named = (name for term in args.terms if (name := given(term.critic)))
    step = Rehearsal(
        student=student.policy,
        teacher=None if teacher is None else teacher.policy,
        terms=[term_of(term) for term in args.terms],
        constants={name: session.critic(name).for_student for name in named},
        ascents=[(session.critic(update.critic).critic, update.part) for update in args.updates],
        score_teacher=args.teacher,
        score_student=args.student,
        diagnostics=args.diagnostics,
        chunk_size=chunk_size(session),
        form=session.configured().loss_form,
        loss_scale=None if optimizer.loss_scale is None else optimizer.loss_scale.value,
        dropout=bool(given(args.dropout)),
    )
    packed, kept_rows = bool(given(args.packing)), given(args.kept_rows) or 0
    return PlannedStep(step, _micro_batches(session, args), packed, kept_rows, args.checkpoints)


def _micro_batches(session: Session, args: PredictMemoryArgs) -> MicroBatches:
    """Micro-batches of the longest rows that the datasets have."""
    apart = session.role("student").policy.has_encoder
    rows = [
        RowLengths(part.part, prompt, response, drawn=given(part.max_new_tokens) is not None)
        for part in args.parts
        for prompt, response in longest_rows(
            session.dataset(part.dataset).lengths(), part.rows, given(part.max_new_tokens), apart=apart
        )
    ]
    if not rows:
        raise ArgumentError("parts: no rows; a batch needs at least one")
    limits = limits_of(args, session.halvings.micro_batch)
    lengths = [(row.prompt, row.response) for row in rows]
    layout = lay_out(lengths, [row.part for row in rows], limits, apart=apart)
    return [[rows[index] for index in micro] for micro in layout]


def _draw(session: Session, planned: PlannedRollout) -> PlannedDraw:
    """Draw for the longest prompts that the dataset has."""
    source = rollout_source(session, planned.role, HALF if given(planned.mixture) else None)
    lengths = session.dataset(planned.dataset).lengths()
    rows = longest_rows(lengths, planned.rows, planned.sampling.max_new_tokens)
    if not rows:
        raise ArgumentError(f"rollouts: dataset {planned.dataset!r} has no rows to draw responses for")
    return PlannedDraw(
        planned.name,
        source.engine,
        source.mixture,
        [prompt for prompt, _ in rows],
        sampling_of(planned.sampling),
        session.drawn_rows.most(source.name),
        bool(given(planned.background)) and can_be_beside(session, source),
    )
