"""Replies that wait for the device: an imaginary one, whose events a test lets happen."""

import threading
from typing import Any

import pytest
import torch

from py_worker.server.completion import CudaCompletion, ImmediateCompletion, completion_for


class FakeEvent:
    """Happens when the test says so, at a time that counts the events before it."""

    made: list["FakeEvent"]

    def __init__(self, **_: Any) -> None:
        self.happened = threading.Event()
        self.fails = False
        self.number = len(FakeEvent.made)
        FakeEvent.made.append(self)

    def record(self, _: object) -> None:
        return

    def synchronize(self) -> None:
        assert self.happened.wait(10)
        if self.fails:
            raise RuntimeError("the device has failed")

    def elapsed_time(self, end: "FakeEvent") -> float:
        return 1000.0 * (end.number - self.number)


@pytest.fixture
def completion(monkeypatch: pytest.MonkeyPatch) -> CudaCompletion:
    FakeEvent.made = []
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: device)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    return CudaCompletion(torch.device("cuda", 0))


def test_a_reply_waits_for_its_event_and_the_loop_does_not(completion: CudaCompletion) -> None:
    delivered: list[tuple[str, float]] = []
    first, second = threading.Event(), threading.Event()
    completion.begin()
    completion.deliver(3.0, lambda ms: (delivered.append(("first", ms)), first.set()))
    completion.begin()
    completion.deliver(5000.0, lambda ms: (delivered.append(("second", ms)), second.set()))
    *_, end_of_first, _, end_of_second = FakeEvent.made
    end_of_second.happened.set()
    assert not first.wait(0.05)
    assert delivered == []
    end_of_first.happened.set()
    assert first.wait(10)
    assert second.wait(10)
    assert delivered == [("first", 1000.0), ("second", 5000.0)], "in order, by the longer of both clocks"
    completion.close()


def test_a_failed_device_still_gets_its_reply(completion: CudaCompletion) -> None:
    delivered: list[float] = []
    completion.begin()
    completion.deliver(3.0, delivered.append)
    FakeEvent.made[-1].fails = True
    FakeEvent.made[-1].happened.set()
    completion.close()
    assert delivered == [3.0]


def test_closing_waits_for_what_is_pending(completion: CudaCompletion) -> None:
    delivered: list[float] = []
    completion.begin()
    completion.deliver(3.0, delivered.append)
    threading.Timer(0.05, FakeEvent.made[-1].happened.set).start()
    completion.close()
    assert delivered == [1000.0]


def test_the_cpu_is_done_at_once() -> None:
    delivered: list[float] = []
    completion = completion_for(torch.device("cpu"))
    assert isinstance(completion, ImmediateCompletion)
    completion.begin()
    completion.deliver(3.0, delivered.append)
    completion.close()
    assert delivered == [3.0]
