"""What each phase of training holds at its peak: what is there, is rehearsed, and is taken by libraries."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch

from py_worker.losses.errors import LossError
from py_worker.losses.rehearsal import (
    MicroBatches,
    Rehearsal,
    go_through,
    kept_hidden_bytes,
    rehearse,
)
from py_worker.models.allocations import Sizes
from py_worker.rollout.engine import Engine, Mixture, Sampling
from py_worker.rollout.rehearsal import rehearse_rollout
from py_worker.session import host_memory
from py_worker.session.session import Session
from py_worker.session.session_memory import kept_bytes, weight_bytes
from py_worker.session.session_state import snapshot_bytes

Phases = dict[str, Sizes]

PROBED_TOKENS: Final = 16
"""Longest prompt and longest response of the small step that is done in earnest."""


@dataclass(frozen=True)
class PlannedStep:
    """A step, and the rows it is planned for.

    Attributes:
        step: what is done.
        micro_batches: of the longest rows there are.
        packed: rows of a micro-batch are laid end to end.
        kept_rows: responses kept for later steps.
        checkpoints: are written while training goes on.
    """

    step: Rehearsal
    micro_batches: MicroBatches
    packed: bool
    kept_rows: int
    checkpoints: bool

    def rehearsed(self, *, fake: bool = True) -> Mapping[str, Sizes]:
        """By phase, beyond what is there before. An offloaded teacher's weights count as there."""
        teacher = self.step.teacher
        with contextlib.nullcontext() if teacher is None else teacher.resident():
            return rehearse(self.step, self.micro_batches, packed=self.packed, fake=fake)

    def small(self) -> "PlannedStep":
        """The same with one short row of each part."""
        first = {row.part: row for micro in self.micro_batches for row in micro}
        rows = [
            replace(row, prompt=min(row.prompt, PROBED_TOKENS), response=min(row.response, PROBED_TOKENS))
            for row in first.values()
        ]
        return replace(self, micro_batches=[rows])


@dataclass(frozen=True)
class PlannedDraw:
    """A rollout to come.

    Attributes:
        name: of its phase.
        engine: that draws.
        mixture: what from.
        prompt_lengths: of the longest prompts there are.
        sampling: how.
        rows: at a time, at most; None leaves it to the engine.
        background: other phases go on meanwhile.
    """

    name: str
    engine: Engine
    mixture: Mixture
    prompt_lengths: Sequence[int]
    sampling: Sampling
    rows: int | None
    background: bool


def always_held(session: Session, planned: PlannedStep) -> Sizes:
    """Through all phases. A GPU's memory has neither kept responses nor what checkpoints are written from."""
    held = dict(weight_bytes(session))
    if session.device.type == "cpu":
        longest = max(row.length for micro in planned.micro_batches for row in micro)
        held["rollouts"] = kept_bytes(planned.kept_rows, longest)
        if planned.checkpoints:
            held["checkpoint"] = snapshot_bytes(session)
    return held


def known_phases(session: Session, planned: PlannedStep, always: Sizes) -> Phases:
    """What follows from sizes alone: a lower bound."""
    _, optimizer = session.trained("student")
    step = planned.step
    positions = sum(row.response for micro in planned.micro_batches for row in micro)
    own: Sizes = {
        "gradients": sum(parameter.nbytes for parameter in optimizer.parameters.values()),
        "hidden_states": kept_hidden_bytes(step, positions),
    }
    scored = step.score_teacher or step.score_student != "none"
    copied: Sizes = {"checkpoint": snapshot_bytes(session)} if session.device.type == "cpu" else {}
    return {
        **({"scoring": {**always, **teacher_at_work(session)}} if scored else {}),
        **({"critics": always} if step.ascents else {}),
        "student": {**always, **own},
        "update": {**always, **own, "update": optimizer.temporary_bytes},
        "checkpoint": {**always, **copied},
    }


def teacher_at_work(session: Session) -> Sizes:
    """Its weights, also where they are on the device only while it runs."""
    role = session.roles.get("teacher")
    if role is None:
        return {}
    with role.policy.resident():
        return {"teacher": weight_bytes(session)["teacher"]}


def with_step(session: Session, phases: Phases, planned: PlannedStep) -> Phases:
    """With what a rehearsed step allocates."""
    peaks = _rehearsed(session, planned)
    return {name: {**items, **peaks.get(name, {})} for name, items in phases.items()}


def with_draw(session: Session, phases: Phases, always: Sizes, planned: PlannedDraw) -> Phases:
    """With the phase of a rollout, and with what it takes in other phases that go on meanwhile."""
    sizes = rehearse_rollout(
        planned.engine, planned.mixture, planned.prompt_lengths, planned.sampling, planned.rows
    )
    teacher = session.roles.get("teacher")
    teaches = teacher is not None and teacher.policy in planned.mixture.policies
    held = {**always, **(teacher_at_work(session) if teaches else {}), **sizes}
    if not planned.background:
        return {**phases, planned.name: held}
    _, optimizer = session.trained("student")
    sizes["second_student"] = sum(parameter.nbytes for parameter in optimizer.parameters.values())
    return {name: dict(Counter(items) + Counter(sizes)) for name, items in phases.items()}


def with_overhead(session: Session, phases: Phases, planned: PlannedStep) -> Phases:
    """With what a small step takes in earnest beyond what it allocates.

    That is kernels' scratch memory, and what the allocator keeps.
    """
    small, weights = planned.small(), sum(weight_bytes(session).values())
    expected = weights + max(sum(items.values()) for items in _rehearsed(session, small).values())
    overhead = max(0, _measured_peak(session, small) - expected)
    return {name: {**items, "overhead": overhead} for name, items in phases.items()}


def peak(phases: Phases) -> int:
    """Bytes of the phase that holds most."""
    return max(sum(items.values()) for items in phases.values())


def available_bytes(session: Session) -> int:
    """Free memory of the device, and what the worker has of it already."""
    if session.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(session.device)
        return free + torch.cuda.memory_reserved(session.device)
    return host_memory.available_bytes() + host_memory.resident_bytes() - session.resident_at_start


def _rehearsed(session: Session, planned: PlannedStep) -> Mapping[str, Sizes]:
    """What a step allocates in each phase.

    On a GPU it is taken in earnest where a rehearsal needs numbers: its allocator refuses what does not fit.
    """
    try:
        return planned.rehearsed()
    except LossError:
        raise
    except Exception:
        if session.device.type != "cuda":
            raise
        return planned.rehearsed(fake=False)


def _measured_peak(session: Session, planned: PlannedStep) -> int:
    if session.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(session.device)
        go_through(planned.step, planned.micro_batches, packed=planned.packed)
        return torch.cuda.max_memory_allocated(session.device)
    host_memory.forget_peak()
    go_through(planned.step, planned.micro_batches, packed=planned.packed)
    return host_memory.peak_resident_bytes() - session.resident_at_start
