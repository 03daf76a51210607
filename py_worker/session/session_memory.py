"""What a session holds of its device's memory before anything runs, and beside it on the host."""

from collections.abc import Iterator
from typing import Final

from torch import Tensor, nn

from py_worker.models.allocations import MemoryItem, held_bytes
from py_worker.session.session import Session

TOKEN_BYTES: Final = 8
"""Bytes of a kept response's token, with its log-probability."""


def weight_bytes(session: Session) -> dict[MemoryItem, int]:
    """Teacher, student, its optimizer and the critics with theirs; a shared storage counts for the first."""
    sizes: dict[MemoryItem, int] = {}
    counted: list[Tensor] = []
    for name, tensors in _groups(session).items():
        sizes[name] = held_bytes(tensors, session.device, excluding=counted)
        counted += tensors
    return sizes


def kept_bytes(rows: int, tokens: int) -> int:
    """Bytes of responses in the buffer, each with its prompt of so many tokens together."""
    return rows * tokens * TOKEN_BYTES


def _groups(session: Session) -> dict[MemoryItem, list[Tensor]]:
    groups: dict[MemoryItem, list[Tensor]] = {}
    teacher, student = session.roles.get("teacher"), session.roles.get("student")
    if teacher is not None:
        groups["teacher"] = list(_tensors(teacher.policy.module))
    if student is not None:
        groups["student"] = list(_tensors(student.policy.module))
    optimizer = None if student is None else student.optimizer
    critics: list[Tensor] = []
    groups["optimizer"] = [] if optimizer is None else list(optimizer.state_tensors().values())
    groups["critics"] = critics
    for trained in session.critics.values():
        critics += _tensors(trained.critic)
        critics += trained.optimizer.state_tensors().values()
        critics += () if trained.average is None else _tensors(trained.average)
    return groups


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
