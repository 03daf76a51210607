"""Predicts what training as it is planned takes of the device's memory, at the peak of each phase."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import torch
from msgspec import UNSET

from py_worker.data.layout import lay_out
from py_worker.data.longest import longest_rows
from py_worker.losses.rehearsal import (
    MicroBatches,
    Rehearsal,
    Row,
    go_through,
    kept_hidden_bytes,
    rehearse,
)
from py_worker.ops.halving import chunk_size
from py_worker.ops.specs import argument_errors, given, limits_of, term_of
from py_worker.server import host_memory
from py_worker.server.context import OperationContext
from py_worker.server.errors import ArgumentError
from py_worker.server.protocol_gen import MemoryPhase, PredictMemoryArgs, PredictMemoryResult
from py_worker.server.session import Session
from py_worker.server.session_memory import kept_bytes, weight_bytes
from py_worker.server.session_state import snapshot_bytes

Items = Mapping[str, int]
"""Bytes by what they are for."""

PROBED_TOKENS: Final = 16
"""Longest prompt and longest response of the small step that is done in earnest."""


@dataclass(frozen=True)
class _Planned:
    """A step, and the rows it is planned for."""

    step: Rehearsal
    micro_batches: MicroBatches
    packed: bool

    def rehearsed(self, *, fake: bool = True) -> dict[str, Items]:
        """By phase, beyond what is there before. An offloaded teacher's weights count as there."""
        teacher = self.step.teacher
        with contextlib.nullcontext() if teacher is None else teacher.resident():
            return rehearse(self.step, self.micro_batches, packed=self.packed, fake=fake)

    def small(self) -> "_Planned":
        """The same with one short row of each part."""
        first = {row.part: row for micro in self.micro_batches for row in micro}
        rows = [
            replace(row, prompt=min(row.prompt, PROBED_TOKENS), response=min(row.response, PROBED_TOKENS))
            for row in first.values()
        ]
        return replace(self, micro_batches=[rows])


def run(session: Session, args: PredictMemoryArgs, context: OperationContext) -> PredictMemoryResult:
    """First what is known from sizes, then what a rehearsal shows, then what libraries take besides."""
    for role in session.roles.values() if given(args.packing) else ():
        role.policy.require_packing()
    planned = _Planned(_step(session, args), _micro_batches(session, args), bool(given(args.packing)))
    phases, available = _known(session, args, planned), _available(session)
    missing = None
    if args.rehearse:
        context.check()
        try:
            with argument_errors():
                phases = _with(phases, _rehearsed(session, planned))
        except ArgumentError:
            raise
        except Exception as error:
            missing = f"a step cannot be rehearsed without numbers: {type(error).__name__}: {error}"
        else:
            context.check()
            if _peak(phases) <= available:
                overhead = {"overhead": _overhead(session, planned)}
                phases = _with(phases, {name: overhead for name in phases})
    return PredictMemoryResult(
        phases=[MemoryPhase(name=name, items=dict(items)) for name, items in phases.items()],
        peak_bytes=_peak(phases),
        available_bytes=available,
        missing=UNSET if missing is None else missing[:4096],
    )


def _rehearsed(session: Session, planned: _Planned) -> Mapping[str, Items]:
    """On a GPU in earnest where it is not possible otherwise: its allocator refuses what does not fit."""
    try:
        return planned.rehearsed()
    except ValueError:
        raise
    except Exception:
        if session.device.type != "cuda":
            raise
        return planned.rehearsed(fake=False)  # pragma: no cover - needs a GPU


def _with(phases: Mapping[str, Items], more: Mapping[str, Items]) -> dict[str, Items]:
    """Items of the second take the place of those that have their name in the first."""
    return {name: {**items, **more.get(name, {})} for name, items in phases.items()}


def _peak(phases: Mapping[str, Items]) -> int:
    return max(sum(items.values()) for items in phases.values())


def _step(session: Session, args: PredictMemoryArgs) -> Rehearsal:
    student, optimizer = session.trained("student")
    teacher = session.roles.get("teacher")
    named = (name for term in args.terms if (name := given(term.critic)))
    return Rehearsal(
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


def _micro_batches(session: Session, args: PredictMemoryArgs) -> MicroBatches:
    """Of the longest rows that the datasets have."""
    rows = [
        Row(part.part, prompt, response, drawn=given(part.max_new_tokens) is not None)
        for part in args.parts
        for prompt, response in longest_rows(
            session.dataset(part.dataset).lengths(), part.rows, given(part.max_new_tokens)
        )
    ]
    if not rows:
        raise ArgumentError("parts: no rows; a batch needs at least one")
    limits = limits_of(args, session.halvings.micro_batch)
    layout = lay_out([row.length for row in rows], [row.part for row in rows], limits)
    return [[rows[index] for index in micro] for micro in layout]


def _known(session: Session, args: PredictMemoryArgs, planned: _Planned) -> dict[str, Items]:
    """What follows from sizes alone: a lower bound."""
    _, optimizer = session.trained("student")
    rows = [row for micro in planned.micro_batches for row in micro]
    always, checkpoint = dict(weight_bytes(session)), {}
    # A GPU's memory has neither kept responses nor the copy that a checkpoint is written from.
    if session.device.type == "cpu":
        always["rollouts"] = kept_bytes(given(args.kept_rows) or 0, max(row.length for row in rows))
        checkpoint = {"checkpoint": snapshot_bytes(session)}
        if args.checkpoints:
            always |= checkpoint
    step = {
        "gradients": sum(parameter.nbytes for parameter in optimizer.parameters.values()),
        "hidden_states": kept_hidden_bytes(planned.step, sum(row.response for row in rows)),
    }
    rehearsal = planned.step
    scored = rehearsal.score_teacher or rehearsal.score_student != "none"
    return {
        **({"scoring": {**always, **_teacher_at_work(session)}} if scored else {}),
        **({"critics": always} if rehearsal.ascents else {}),
        "student": {**always, **step},
        "update": {**always, **step, "update": optimizer.temporary_bytes},
        "checkpoint": {**always, **checkpoint},
    }


def _teacher_at_work(session: Session) -> Items:
    """Its weights, also where they are on the device only while it runs."""
    role = session.roles.get("teacher")
    if role is None:
        return {}
    with role.policy.resident():
        return {"teacher": weight_bytes(session)["teacher"]}


def _overhead(session: Session, planned: _Planned) -> int:
    """What a small step takes in earnest beyond what it allocates: kernels' scratch, an allocator's slack."""
    small, weights = planned.small(), sum(weight_bytes(session).values())
    expected = weights + max(sum(items.values()) for items in small.rehearsed().values())
    return max(0, _measured_peak(session, small) - expected)


def _measured_peak(session: Session, planned: _Planned) -> int:
    if session.device.type == "cuda":  # pragma: no cover - needs a GPU
        torch.cuda.reset_peak_memory_stats(session.device)
        go_through(planned.step, planned.micro_batches, packed=planned.packed)
        return torch.cuda.max_memory_allocated(session.device)
    host_memory.forget_peak()
    go_through(planned.step, planned.micro_batches, packed=planned.packed)
    return host_memory.peak_resident_bytes() - session.resident_at_start


def _available(session: Session) -> int:
    """Free memory, and what the worker has already."""
    if session.device.type == "cuda":  # pragma: no cover - needs a GPU
        free, _ = torch.cuda.mem_get_info(session.device)
        return free + torch.cuda.memory_reserved(session.device)
    return host_memory.available_bytes() + host_memory.resident_bytes() - session.resident_at_start
