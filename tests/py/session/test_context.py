"""Cancellation, deadline and commit point of one operation."""

import pytest

from py_worker.session.context import OperationContext, Progress
from py_worker.session.errors import CancelledError, DeadlineError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_check_counts_progress() -> None:
    progress = Progress()
    context = OperationContext(1, "score", progress=progress)
    for _ in range(3):
        context.check()
    assert progress.count == 3


def test_a_deadline_stops_before_the_commit_point_only() -> None:
    clock = Clock()
    context = OperationContext(1, "score", 500.0, clock=clock)
    clock.now += 0.4
    context.check()
    clock.now += 0.2
    with pytest.raises(DeadlineError, match=r"score .* 500 ms"):
        context.check()
    with pytest.raises(DeadlineError):
        context.commit()
    assert not context.applied


def test_after_the_commit_point_nothing_stops() -> None:
    clock = Clock()
    context = OperationContext(1, "score", 500.0, clock=clock)
    context.commit()
    assert context.applied
    assert not context.cancel()
    clock.now += 10
    context.check()
    context.commit()
    assert context.elapsed_ms == pytest.approx(10_000)


def test_a_cancel_holds_for_the_commit_too() -> None:
    context = OperationContext(1, "score")
    assert context.cancel()
    with pytest.raises(CancelledError):
        context.check()
    with pytest.raises(CancelledError):
        context.commit()
    assert not context.applied
