"""The thread that draws rollouts: when it begins, whom it waits for, how it fails and ends."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest
import torch
from msgspec import Struct

from py_worker.models.policy import Policy
from py_worker.session.background import BackgroundRollouts, Drawing
from py_worker.session.context import OperationContext, Progress
from py_worker.session.errors import CancelledError, DeadlineError
from py_worker.session.held import Rollout
from tests.py.session.gate import Gate
from tests.py.tiny_models import tiny_policy

torch.set_num_threads(1)


class Said(Struct):
    """A result that shows which weights it was made with."""

    weight: float


class Scene:
    """A student whose first weight counts its steps."""

    def __init__(self, gate: Gate) -> None:
        self.student, self.gate = tiny_policy(), gate
        self.background = BackgroundRollouts(self.student, gate)
        self.step(0.0)

    @torch.no_grad()
    def step(self, weight: float) -> None:
        first(self.student).fill_(weight)

    def start(
        self, version: int, draw: Callable[[], None] = lambda: None, context: OperationContext | None = None
    ) -> Drawing:
        def drawn() -> tuple[Rollout, Struct]:
            draw()
            return Rollout((), (), (), (), (), version), Said(float(first(self.background.policy)))

        return self.background.start(version, context or OperationContext(1, "generate"), drawn)


def first(policy: Policy) -> torch.Tensor:
    weight: torch.Tensor = policy.module.model.norm.weight[0]
    return weight


@pytest.fixture
def shut() -> Iterator[Scene]:
    scene = Scene(Gate())
    yield scene
    scene.gate.open()
    scene.background.close()


@pytest.fixture
def ready() -> Iterator[Scene]:
    scene = Scene(Gate(open_at_once=True))
    yield scene
    scene.background.close()


def test_it_draws_from_the_weights_of_its_start(shut: Scene) -> None:
    shut.step(3.0)
    drawing = shut.start(3)
    shut.step(4.0)
    assert not drawing.reply.done()
    shut.gate.open()
    assert drawing.reply.result(10) == Said(3.0)
    assert drawing.rollout.result(10).policy_version == 3
    assert shut.start(4).reply.result(10) == Said(4.0)
    assert shut.gate.log == ["follow", "begin", "end"] * 2, "after the copy, which is not overwritten before"


def test_newer_weights_wait_until_the_older_ones_have_been_used(shut: Scene) -> None:
    older = shut.start(0)
    second: list[Drawing] = []
    shut.step(1.0)
    newer = threading.Thread(target=lambda: second.append(shut.start(1)))
    newer.start()
    newer.join(0.05)
    assert newer.is_alive()
    shut.gate.open()
    newer.join(10)
    assert older.reply.result(10) == Said(0.0)
    assert second[0].reply.result(10) == Said(1.0)


def test_rollouts_of_the_same_weights_queue_up(shut: Scene) -> None:
    drawings = [shut.start(0), shut.start(0)]  # the second start would wait here
    shut.gate.open()
    assert [drawing.reply.result(10) for drawing in drawings] == [Said(0.0)] * 2
    assert shut.gate.log == ["follow", "begin", "end", "begin", "end"]


def test_the_operation_is_committed_when_the_rollout_is_there(shut: Scene) -> None:
    context = OperationContext(1, "generate")
    drawing = shut.start(0, context=context)
    assert not context.applied
    shut.gate.open()
    drawing.reply.result(10)
    assert context.applied


def test_a_failure_is_told_first_in_the_reply_and_then_to_those_who_wait(ready: Scene) -> None:
    def fail() -> None:
        raise ValueError("no such prompt")

    context, told = OperationContext(1, "generate"), threading.Event()
    go, seen = threading.Event(), []

    def wait_and_fail() -> None:
        assert go.wait(10)
        fail()

    drawing = ready.start(0, wait_and_fail, context)
    drawing.reply.add_done_callback(lambda _: seen.append(drawing.rollout.done()))
    drawing.rollout.add_done_callback(lambda _: told.set())
    go.set()
    assert told.wait(10)
    assert seen == [False]
    for future in (drawing.reply, drawing.rollout):
        with pytest.raises(ValueError, match="no such prompt"):
            future.result(10)
    assert not context.applied
    assert ready.start(0).reply.result(10) == Said(0.0), "the next one can be drawn"


def test_an_error_holds_no_tensors(ready: Scene) -> None:
    alive: list[weakref.ref[torch.Tensor]] = []

    def fail() -> None:
        large = torch.zeros(8)
        alive.append(weakref.ref(large))
        raise MemoryError("full")

    drawing = ready.start(0, fail)
    error = drawing.reply.exception(10)
    assert isinstance(error, MemoryError)
    gc.collect()
    assert alive[0]() is None
    assert error.__traceback__ is not None, "the reply's detail still says where"


def test_it_looks_after_the_deadline_and_counts_progress(ready: Scene) -> None:
    progress = Progress()
    context = OperationContext(1, "generate", deadline_ms=20.0, progress=progress)

    def endless() -> None:
        while True:
            context.check()

    with pytest.raises(DeadlineError):
        ready.start(0, endless, context).reply.result(10)
    assert progress.count > 0


def test_stopped_it_gives_up_what_it_draws_and_what_waits() -> None:
    scene = Scene(Gate(open_at_once=True))
    contexts = [OperationContext(number, "generate") for number in (1, 2)]

    def endless(context: OperationContext) -> Callable[[], None]:
        def check() -> None:
            while True:
                context.check()

        return check

    drawings = [scene.start(0, endless(context), context) for context in contexts]
    scene.background.stop()
    scene.background.close()
    for drawing in drawings:
        with pytest.raises(CancelledError):
            drawing.reply.result(0)


def test_closing_waits_for_what_is_drawn() -> None:
    scene = Scene(Gate())
    drawing = scene.start(0)
    closing = threading.Thread(target=scene.background.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    scene.gate.open()
    closing.join(10)
    assert drawing.reply.result(0) == Said(0.0)
